-- Variants may trade their SKUs and options in one statement: unique keys that can be deferred are looked at when it ends, others
-- row by row. They are still checked at the end of every statement.
ALTER TABLE commerce.variants
    DROP CONSTRAINT variants_sku_key,
    DROP CONSTRAINT variants_options_key,
    ADD CONSTRAINT variants_sku_key UNIQUE (sku) DEFERRABLE INITIALLY IMMEDIATE,
    ADD CONSTRAINT variants_options_key UNIQUE (product_id, options) DEFERRABLE INITIALLY IMMEDIATE;
