-- The key by which another shop's export names a product, as it stands there: Shopify's handle, WooCommerce's ID. It is kept where the
-- product's slug is another, because a slug made from a key is the same for keys that read alike.
CREATE TABLE commerce.product_source_keys (
    source text NOT NULL
        CONSTRAINT product_source_keys_source_check CHECK (source IN ('shopify', 'native', 'woocommerce')),
    key text NOT NULL CONSTRAINT product_source_keys_key_check CHECK (length(key) BETWEEN 1 AND 255),
    product_id uuid NOT NULL
        CONSTRAINT product_source_keys_product_id_fkey REFERENCES commerce.products (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT product_source_keys_pkey PRIMARY KEY (source, key)
);
CREATE INDEX product_source_keys_product_id_idx ON commerce.product_source_keys (product_id);

-- A category that got another title is still found by an older file.
CREATE TABLE commerce.former_category_titles (
    title text CONSTRAINT former_category_titles_pkey PRIMARY KEY,
    category_id uuid NOT NULL
        CONSTRAINT former_category_titles_category_id_fkey REFERENCES commerce.categories (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT commerce.clock()
);
CREATE INDEX former_category_titles_category_id_idx ON commerce.former_category_titles (category_id);
-- An import finds categories by their titles.
CREATE INDEX categories_title_idx ON commerce.categories (title);
