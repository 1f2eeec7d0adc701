ALTER TABLE commerce.carts DROP COLUMN held_since;
