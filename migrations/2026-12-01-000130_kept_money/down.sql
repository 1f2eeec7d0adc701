ALTER TABLE commerce.orders DROP COLUMN kept_minor;
