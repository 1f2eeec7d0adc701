DROP TRIGGER stock_levels_search_delete ON commerce.stock_levels;
DROP TRIGGER stock_levels_search_update ON commerce.stock_levels;
DROP TRIGGER stock_levels_search_insert ON commerce.stock_levels;
DROP TRIGGER categories_search_update ON commerce.categories;
DROP TRIGGER product_categories_search_delete ON commerce.product_categories;
DROP TRIGGER product_categories_search_insert ON commerce.product_categories;
DROP TRIGGER variants_search_delete ON commerce.variants;
DROP TRIGGER variants_search_update ON commerce.variants;
DROP TRIGGER variants_search_insert ON commerce.variants;
DROP TRIGGER products_search_delete ON commerce.products;
DROP TRIGGER products_search_update ON commerce.products;
DROP TRIGGER products_search_insert ON commerce.products;
DROP FUNCTION commerce.product_search_on_stock();
DROP FUNCTION commerce.product_search_on_category();
DROP FUNCTION commerce.product_search_on_detached();
DROP FUNCTION commerce.product_search_on_changed_variants();
DROP FUNCTION commerce.product_search_on_parts();
DROP FUNCTION commerce.product_search_on_changed_products();
DROP FUNCTION commerce.product_search_on_products();
DROP FUNCTION commerce.touch_product_search(uuid[]);
DROP FUNCTION commerce.search_rows_come_later();
DROP FUNCTION commerce.refresh_product_search(uuid[]);
DROP FUNCTION commerce.note_search_changes(uuid[]);
DROP FUNCTION commerce.enqueue_index_products();
DROP FUNCTION commerce.is_in_stock(uuid);
DROP FUNCTION commerce.similar_search_words(text);
DROP FUNCTION commerce.plain_text(text);
DROP FUNCTION commerce.search_text(text);
DELETE FROM commerce.jobs WHERE kind = 'index_products';
DROP TABLE commerce.search_changes;
DROP SEQUENCE commerce.search_generations;
DROP TABLE commerce.search_indexes;
DROP TABLE commerce.search_words;
DROP TABLE commerce.product_search;
-- The extension goes if it is ours. One that the host had before stays.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm' AND extnamespace = 'commerce'::regnamespace) THEN
        DROP EXTENSION pg_trgm;
    END IF;
END $$;
