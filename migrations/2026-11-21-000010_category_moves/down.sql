DROP TRIGGER categories_search_move ON commerce.categories;
DROP FUNCTION commerce.product_search_on_moved_category();
