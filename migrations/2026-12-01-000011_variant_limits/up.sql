-- Names, values and SKUs are as long as Shopify's. An index entry has at most 2,704 bytes, which three such options exceed, so the key is
-- a digest of them.
ALTER TABLE commerce.variants
    DROP CONSTRAINT variants_sku_check,
    ADD CONSTRAINT variants_sku_check CHECK (length(sku) BETWEEN 1 AND 255),
    DROP CONSTRAINT variants_title_check,
    ADD CONSTRAINT variants_title_check CHECK (length(title) BETWEEN 1 AND 771),
    DROP CONSTRAINT variants_options_key,
    ADD COLUMN options_digest uuid NOT NULL GENERATED ALWAYS AS (md5(options::text)::uuid) STORED,
    ADD CONSTRAINT variants_options_key UNIQUE (product_id, options_digest) DEFERRABLE INITIALLY IMMEDIATE;
