ALTER TABLE commerce.variants
    DROP CONSTRAINT variants_options_key,
    DROP COLUMN options_digest,
    ADD CONSTRAINT variants_options_key UNIQUE (product_id, options) DEFERRABLE INITIALLY IMMEDIATE,
    DROP CONSTRAINT variants_title_check,
    ADD CONSTRAINT variants_title_check CHECK (length(title) BETWEEN 1 AND 255),
    DROP CONSTRAINT variants_sku_check,
    ADD CONSTRAINT variants_sku_check CHECK (length(sku) BETWEEN 1 AND 100);
