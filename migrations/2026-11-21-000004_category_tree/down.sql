DROP TABLE commerce.former_category_slugs;
DROP TABLE commerce.former_product_slugs;
ALTER TABLE commerce.categories DROP COLUMN parent_id;
