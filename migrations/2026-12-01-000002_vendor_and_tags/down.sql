CREATE OR REPLACE FUNCTION commerce.refresh_product_search(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    sorted uuid[] := ARRAY(SELECT DISTINCT id FROM unnest(ids) AS id WHERE id IS NOT NULL ORDER BY id);
    changed uuid[];
BEGIN
    -- The locks first and in order. The next statement has a snapshot of its own, which sees what those did who held them.
    PERFORM FROM commerce.product_search WHERE product_id = ANY (sorted) ORDER BY product_id FOR UPDATE;
    WITH fresh AS MATERIALIZED (
        SELECT p.id, p.status = 'active' AS listed, p.title,
               coalesce(v.skus, '{}') AS skus,
               concat_ws(' ', c.titles, v.option_values, a.attribute_values) AS facts,
               commerce.plain_text(p.description) AS body,
               p.price_from_minor,
               commerce.is_in_stock(p.id) AS in_stock,
               coalesce(c.ids, '{}') AS category_ids,
               coalesce(v.options, '{}') AS options,
               p.created_at
        FROM commerce.products p
        LEFT JOIN LATERAL (
            SELECT array_agg(x.id ORDER BY x.id) AS ids, string_agg(x.title, ' ' ORDER BY x.id) AS titles
            FROM commerce.product_categories m JOIN commerce.categories x ON x.id = m.category_id
            WHERE m.product_id = p.id) c ON true
        LEFT JOIN LATERAL (
            SELECT (SELECT array_agg(DISTINCT w.sku) FROM commerce.variants w
                    WHERE w.product_id = p.id AND w.active AND w.sku IS NOT NULL) AS skus,
                   string_agg(DISTINCT o.value, ' ') AS option_values,
                   array_agg(DISTINCT o.key || U&'\001F' || o.value) AS options
            FROM commerce.variants w CROSS JOIN LATERAL jsonb_each_text(w.options) o
            WHERE w.product_id = p.id AND w.active) v ON true
        LEFT JOIN LATERAL (
            SELECT string_agg(t.value #>> '{}', ' ' ORDER BY t.value) AS attribute_values
            FROM jsonb_path_query(p.attributes, 'lax $.** ? (@.type() == "string" || @.type() == "number")') AS t (value)) a
            ON true
        WHERE p.id = ANY (sorted)),
    differing AS (
        SELECT f.* FROM fresh f LEFT JOIN commerce.product_search s ON s.product_id = f.id
        WHERE s.product_id IS NULL
           OR (s.listed, s.title, s.skus, s.facts, s.body, s.price_from_minor, s.in_stock, s.category_ids, s.options, s.created_at)
              IS DISTINCT FROM
              (f.listed, f.title, f.skus, f.facts, f.body, f.price_from_minor, f.in_stock, f.category_ids, f.options, f.created_at)),
    written AS (
        INSERT INTO commerce.product_search AS s (product_id, listed, in_stock, price_from_minor, created_at, category_ids,
            options, title_document, title, skus, facts, body, document)
        SELECT id, listed, in_stock, price_from_minor, created_at, category_ids, options,
               strip(to_tsvector('simple', commerce.search_text(title))), title, skus, facts, body,
               setweight(to_tsvector('simple', commerce.search_text(title)), 'A')
               -- A SKU is also one word, so that it is found without its hyphens.
               || setweight(to_tsvector('simple', commerce.search_text(array_to_string(skus, ' ')) || ' '
                                        || coalesce((SELECT string_agg(replace(commerce.search_text(sku), ' ', ''), ' ')
                                                     FROM unnest(skus) AS sku), '')), 'B')
               || setweight(to_tsvector('simple', commerce.search_text(facts)), 'C')
               || setweight(to_tsvector('simple', left(commerce.search_text(body), 200000)), 'D')
        FROM differing
        ON CONFLICT (product_id) DO UPDATE SET
            (listed, in_stock, price_from_minor, created_at, category_ids, options, title_document, title, skus, facts,
             body, document)
            = (excluded.listed, excluded.in_stock, excluded.price_from_minor, excluded.created_at, excluded.category_ids,
               excluded.options, excluded.title_document, excluded.title, excluded.skus, excluded.facts, excluded.body,
               excluded.document)
        RETURNING s.product_id, s.listed, s.document),
    learned AS (
        INSERT INTO commerce.search_words (word, stem)
        SELECT word, coalesce((ts_lexize('pg_catalog.english_stem', word))[1], word)
        FROM (SELECT DISTINCT unnest(tsvector_to_array(document)) AS word FROM written WHERE listed) AS found
        WHERE length(word) <= 60 AND NOT EXISTS (SELECT FROM commerce.search_words k WHERE k.word = found.word))
    SELECT coalesce(array_agg(product_id), '{}') INTO changed FROM written;
    -- Products that are gone.
    WITH gone AS (
        DELETE FROM commerce.product_search s
        WHERE s.product_id = ANY (sorted) AND NOT EXISTS (SELECT FROM commerce.products p WHERE p.id = s.product_id)
        RETURNING s.product_id)
    SELECT changed || coalesce(array_agg(product_id), '{}') INTO changed FROM gone;
    PERFORM commerce.note_search_changes(changed);
END $$;

CREATE OR REPLACE FUNCTION commerce.product_search_on_changed_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM commerce.touch_product_search(ARRAY(
        SELECT n.id FROM old_rows o JOIN new_rows n USING (id)
        WHERE (o.title, o.description, o.status, o.attributes, o.price_from_minor, o.created_at)
              IS DISTINCT FROM (n.title, n.description, n.status, n.attributes, n.price_from_minor, n.created_at)));
    RETURN NULL;
END $$;

UPDATE commerce.products
SET attributes = jsonb_strip_nulls(jsonb_build_object(
        'vendor', vendor, 'tags', CASE WHEN tags <> '{}' THEN to_jsonb(tags) END)) || attributes
WHERE vendor IS NOT NULL OR tags <> '{}';
ALTER TABLE commerce.products DROP COLUMN tags, DROP COLUMN vendor;
