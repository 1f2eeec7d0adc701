-- A column of a unique key that a foreign key could refer to is written under a lock that foreign keys wait for. So a cart, which
-- refers to its variants, waited for an import that changed their SKUs, and the import for the cart. A partial index is no such
-- key, and these two cover every row that has a value.
ALTER TABLE commerce.variants
    DROP CONSTRAINT variants_sku_key,
    DROP CONSTRAINT variants_options_key;
CREATE UNIQUE INDEX variants_sku_key ON commerce.variants (sku) WHERE sku IS NOT NULL;
CREATE UNIQUE INDEX variants_options_key ON commerce.variants (product_id, options_digest) WHERE options_digest IS NOT NULL;
