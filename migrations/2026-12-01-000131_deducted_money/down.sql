ALTER TABLE commerce.returns DROP COLUMN deducted_minor;
