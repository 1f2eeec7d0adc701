-- Variants may trade their SKUs and options in one statement: unique keys that can be deferred are looked at when it ends, others
-- row by row. They are still checked at the end of every statement.
ALTER TABLE commerce.variants
    DROP CONSTRAINT variants_sku_key,
    DROP CONSTRAINT variants_options_key,
    ADD CONSTRAINT variants_sku_key UNIQUE (sku) DEFERRABLE INITIALLY IMMEDIATE,
    ADD CONSTRAINT variants_options_key UNIQUE (product_id, options) DEFERRABLE INITIALLY IMMEDIATE;

-- What a category's list is sorted by, for all that is in it, without reading their rows.
CREATE INDEX products_active_sort_idx ON commerce.products (id) INCLUDE (created_at, price_from_minor) WHERE status = 'active';
