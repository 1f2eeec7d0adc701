DROP INDEX commerce.categories_title_idx;
DROP TABLE commerce.former_category_titles;
DROP TABLE commerce.product_source_keys;
