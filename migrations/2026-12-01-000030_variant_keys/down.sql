DROP INDEX commerce.variants_sku_key, commerce.variants_options_key;
ALTER TABLE commerce.variants
    ADD CONSTRAINT variants_sku_key UNIQUE (sku) DEFERRABLE INITIALLY IMMEDIATE,
    ADD CONSTRAINT variants_options_key UNIQUE (product_id, options_digest) DEFERRABLE INITIALLY IMMEDIATE;
