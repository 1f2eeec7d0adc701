-- A facet counts a product in its categories and in all that these are below. An outside index is told so with each product, so a category
-- that is moved reaches what is in it and below it by a job.
CREATE FUNCTION commerce.product_search_on_moved_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
    VALUES (gen_random_uuid(), 'index_products', jsonb_build_object('moved_category_id', NEW.id), 20);
    RETURN NULL;
END $$;
CREATE TRIGGER categories_search_move AFTER UPDATE ON commerce.categories
    FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id) EXECUTE FUNCTION commerce.product_search_on_moved_category();
