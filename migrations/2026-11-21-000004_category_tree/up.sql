-- Categories become a tree, and a slug that was changed leads to the new one.

ALTER TABLE commerce.categories
    ADD COLUMN parent_id uuid CONSTRAINT categories_parent_id_fkey REFERENCES commerce.categories (id),
    ADD CONSTRAINT categories_parent_id_check CHECK (parent_id <> id);
CREATE INDEX categories_parent_id_idx ON commerce.categories (parent_id, position, id);

-- Slugs that a product or category had before. One that lives under such a slug now comes first.
CREATE TABLE commerce.former_product_slugs (
    slug text CONSTRAINT former_product_slugs_pkey PRIMARY KEY,
    product_id uuid NOT NULL
        CONSTRAINT former_product_slugs_product_id_fkey REFERENCES commerce.products (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT commerce.clock()
);
CREATE INDEX former_product_slugs_product_id_idx ON commerce.former_product_slugs (product_id);

CREATE TABLE commerce.former_category_slugs (
    slug text CONSTRAINT former_category_slugs_pkey PRIMARY KEY,
    category_id uuid NOT NULL
        CONSTRAINT former_category_slugs_category_id_fkey REFERENCES commerce.categories (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT commerce.clock()
);
CREATE INDEX former_category_slugs_category_id_idx ON commerce.former_category_slugs (category_id);
