ALTER TABLE commerce.orders DROP COLUMN locale;
ALTER TABLE commerce.users DROP COLUMN locale;
