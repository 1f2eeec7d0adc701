DROP INDEX commerce.products_active_sort_idx;
ALTER TABLE commerce.variants
    DROP CONSTRAINT variants_sku_key,
    DROP CONSTRAINT variants_options_key,
    ADD CONSTRAINT variants_sku_key UNIQUE (sku),
    ADD CONSTRAINT variants_options_key UNIQUE (product_id, options);
