-- Product search. One row a product, kept by triggers in the transaction of every change, so that search by Postgres is
-- exact at commit, also for programs that link the library and run no worker. What a category is called is the one thing that
-- reaches its products by jobs, since they may be most of the shop.

-- A trusted extension: the owner of a database may create it without being a superuser. It comes into our schema, and
-- stays where it is if the host has it already.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA commerce;

-- What is searched, of every product; `listed` are those that shoppers see. No foreign key: the triggers below are
-- what keeps this table, and they alone. What every match is counted and sorted by stands first, where it is reached soonest.
CREATE TABLE commerce.product_search (
    product_id uuid CONSTRAINT product_search_pkey PRIMARY KEY,
    listed boolean NOT NULL,
    in_stock boolean NOT NULL,
    price_from_minor bigint,
    created_at timestamptz NOT NULL,
    category_ids uuid[] NOT NULL,
    -- `name` U+001F `value`, over the active variants.
    options text[] NOT NULL,
    -- The words of the title alone, without their places.
    title_document tsvector NOT NULL,
    title text NOT NULL,
    skus text[] NOT NULL,
    -- Titles of categories, values of attributes and of options.
    facts text NOT NULL,
    -- The description without its markup.
    body text NOT NULL,
    -- Weights: A title, B SKU, C facts, D body.
    document tsvector NOT NULL
);
CREATE INDEX product_search_document_idx ON commerce.product_search USING gin (document) WHERE listed;
CREATE INDEX product_search_title_document_idx ON commerce.product_search USING gin (title_document) WHERE listed;
-- Without statistics every search looks as if it found little, so that it goes by the indexes above: the other way is to
-- unpack every document, which the planner holds to be cheap.
ALTER TABLE commerce.product_search
    ALTER COLUMN document SET STATISTICS 0,
    ALTER COLUMN title_document SET STATISTICS 0;

-- The vocabulary: every word of a listed product and its English stem. Typing errors are looked for here. No unique
-- key, so that two who write a new word at once do not wait for each other; a word that stands here twice, or whose
-- products are gone, does no harm.
CREATE TABLE commerce.search_words (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT search_words_pkey PRIMARY KEY,
    word text NOT NULL,
    stem text NOT NULL
);
CREATE INDEX search_words_word_idx ON commerce.search_words (word text_pattern_ops);
CREATE INDEX search_words_stem_idx ON commerce.search_words (stem);

-- Indexes kept outside of Postgres (Meilisearch): the one that answers, and one being built. While there is a row here,
-- changes are recorded in search_changes.
CREATE TABLE commerce.search_indexes (
    uid text CONSTRAINT search_indexes_pkey PRIMARY KEY,
    state text NOT NULL CONSTRAINT search_indexes_state_check CHECK (state IN ('building', 'live')),
    -- Of the settings that the index was built with.
    settings_version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock()
);
CREATE UNIQUE INDEX search_indexes_live_key ON commerce.search_indexes (state) WHERE state = 'live';

-- Products whose change is not yet in the outside index. A generation is never given twice: who deletes the row deletes
-- what it has seen.
CREATE SEQUENCE commerce.search_generations;
CREATE TABLE commerce.search_changes (
    product_id uuid CONSTRAINT search_changes_pkey PRIMARY KEY,
    generation bigint NOT NULL DEFAULT nextval('commerce.search_generations')
);

-- The words of a text: lower case, accents removed, anything but letters and digits a space. Ranges are spelled out
-- because what counts as a letter depends on the locale of the database.
CREATE FUNCTION commerce.search_text(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trim(regexp_replace(
        lower(regexp_replace(normalize(coalesce(given, ''), NFKD), U&'[\0300-\036F\2019'']', '', 'g')),
        U&'[\0001-\002F\003A-\0040\005B-\0060\007B-\00BF\2000-\206F\3000-\303F]+', ' ', 'g'))
$$;

-- Text without markup, as a reader sees it.
CREATE FUNCTION commerce.plain_text(html text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(replace(replace(replace(replace(
        trim(regexp_replace(regexp_replace(html, '<[^>]*>', ' ', 'g'), '(\s|&nbsp;)+', ' ', 'g')),
        '&lt;', '<'), '&gt;', '>'), '&quot;', '"'), '&#39;', ''''), '&amp;', '&')
$$;

-- Words of the vocabulary that look like this one. The threshold is low, for short words; the caller counts the errors.
-- Both statements name the schema that the extension is in.
DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname = 'pg_trgm');
BEGIN
    EXECUTE format('CREATE INDEX search_words_word_trgm_idx ON commerce.search_words USING gin (word %s.gin_trgm_ops)', home);
    EXECUTE format($f$
        CREATE FUNCTION commerce.similar_search_words(given text) RETURNS SETOF text LANGUAGE sql STABLE
            SET pg_trgm.word_similarity_threshold = 0.3
            SET search_path = %1$s, pg_catalog AS '
            SELECT word FROM commerce.search_words WHERE given OPERATOR(%1$s.<%%) word
            GROUP BY word ORDER BY %1$s.word_similarity(given, word) DESC, word LIMIT 200'$f$, home);
END $$;

CREATE FUNCTION commerce.is_in_stock(product uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM commerce.variants v JOIN commerce.stock_levels l ON l.variant_id = v.id
        WHERE v.product_id = product AND v.active AND l.on_hand > l.reserved)
$$;

-- Queues one job a transaction: a setting of the transaction remembers that it has been done. Rolling back to a
-- savepoint takes back both.
CREATE FUNCTION commerce.enqueue_index_products() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('commerce.index_job', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
        VALUES (gen_random_uuid(), 'index_products', '{}', 20);
        PERFORM set_config('commerce.index_job', pg_current_xact_id()::text, true);
    END IF;
END $$;

-- Records that these products differ from what an outside index knows of them, if there is one.
CREATE FUNCTION commerce.note_search_changes(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF ids = '{}' OR NOT EXISTS (SELECT FROM commerce.search_indexes) THEN
        RETURN;
    END IF;
    INSERT INTO commerce.search_changes (product_id) SELECT DISTINCT unnest(ids) ORDER BY 1
    ON CONFLICT (product_id) DO UPDATE SET generation = nextval('commerce.search_generations');
    PERFORM commerce.enqueue_index_products();
END $$;

-- Writes the search rows of these products anew, those that are not as they should be.
CREATE FUNCTION commerce.refresh_product_search(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- Who writes much at once says that it will refresh the rows itself, when each product is whole: a setting of its
-- transaction.
CREATE FUNCTION commerce.search_rows_come_later() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT current_setting('commerce.search_rows', true) IS NOT DISTINCT FROM 'later'
$$;

-- The catalogue's tables: once a statement, for all its rows, and only if it changed what is searched.
CREATE FUNCTION commerce.touch_product_search(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF ids <> '{}' AND NOT commerce.search_rows_come_later() THEN
        PERFORM commerce.refresh_product_search(ids);
    END IF;
END $$;

CREATE FUNCTION commerce.product_search_on_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM commerce.touch_product_search(ARRAY(SELECT id FROM touched));
    RETURN NULL;
END $$;
CREATE TRIGGER products_search_insert AFTER INSERT ON commerce.products
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_products();
CREATE TRIGGER products_search_delete AFTER DELETE ON commerce.products
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_products();

CREATE FUNCTION commerce.product_search_on_changed_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM commerce.touch_product_search(ARRAY(
        SELECT n.id FROM old_rows o JOIN new_rows n USING (id)
        WHERE (o.title, o.description, o.status, o.attributes, o.price_from_minor, o.created_at)
              IS DISTINCT FROM (n.title, n.description, n.status, n.attributes, n.price_from_minor, n.created_at)));
    RETURN NULL;
END $$;
CREATE TRIGGER products_search_update AFTER UPDATE ON commerce.products
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_changed_products();

CREATE FUNCTION commerce.product_search_on_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM commerce.touch_product_search(ARRAY(SELECT product_id FROM touched));
    RETURN NULL;
END $$;
CREATE TRIGGER variants_search_insert AFTER INSERT ON commerce.variants
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_parts();
CREATE TRIGGER variants_search_delete AFTER DELETE ON commerce.variants
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_parts();
CREATE TRIGGER product_categories_search_insert AFTER INSERT ON commerce.product_categories
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_parts();

CREATE FUNCTION commerce.product_search_on_changed_variants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM commerce.touch_product_search(ARRAY(
        SELECT unnest(ARRAY[o.product_id, n.product_id]) FROM old_rows o JOIN new_rows n USING (id)
        WHERE (o.product_id, o.sku, o.options, o.active) IS DISTINCT FROM (n.product_id, n.sku, n.options, n.active)));
    RETURN NULL;
END $$;
CREATE TRIGGER variants_search_update AFTER UPDATE ON commerce.variants
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_changed_variants();

-- One statement can take all the products there are out of a category. Many leave it at once, so that filters and facets are
-- exact at commit, but its title goes out of their words by jobs, a part each.
CREATE FUNCTION commerce.product_search_on_detached() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT product_id FROM touched);
BEGIN
    IF cardinality(ids) <= 1000 OR commerce.search_rows_come_later() THEN
        PERFORM commerce.touch_product_search(ids);
        RETURN NULL;
    END IF;
    PERFORM FROM commerce.product_search WHERE product_id = ANY (ids) ORDER BY product_id FOR UPDATE;
    UPDATE commerce.product_search s SET category_ids = ARRAY(
        SELECT m.category_id FROM commerce.product_categories m WHERE m.product_id = s.product_id ORDER BY m.category_id)
    WHERE s.product_id = ANY (ids);
    PERFORM commerce.note_search_changes(ids);
    INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
    SELECT gen_random_uuid(), 'index_products', jsonb_build_object('product_ids', jsonb_agg(id ORDER BY id)), 20
    FROM (SELECT id, row_number() OVER (ORDER BY id) / 500 AS part FROM unnest(ids) AS id) AS parts
    GROUP BY part;
    RETURN NULL;
END $$;
CREATE TRIGGER product_categories_search_delete AFTER DELETE ON commerce.product_categories
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION commerce.product_search_on_detached();

-- A category may hold most of the shop, so a new title of one reaches its products by a job.
CREATE FUNCTION commerce.product_search_on_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
    VALUES (gen_random_uuid(), 'index_products', jsonb_build_object('category_id', NEW.id), 20);
    RETURN NULL;
END $$;
CREATE TRIGGER categories_search_update AFTER UPDATE ON commerce.categories
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION commerce.product_search_on_category();

-- Stock: every checkout writes levels, and this runs only when a level runs out or fills again. It waits for nobody, so it can
-- stand anywhere in the order of locks: if another transaction is writing the product's search row, a job does it after.
CREATE FUNCTION commerce.product_search_on_stock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    level commerce.stock_levels := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    product uuid := (SELECT product_id FROM commerce.variants WHERE id = level.variant_id);
BEGIN
    IF commerce.search_rows_come_later() THEN
        RETURN NULL;
    END IF;
    PERFORM FROM commerce.product_search WHERE product_id = product FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
        VALUES (gen_random_uuid(), 'index_products', jsonb_build_object('product_ids', jsonb_build_array(product)), 20);
        RETURN NULL;
    END IF;
    UPDATE commerce.product_search SET in_stock = NOT in_stock
    WHERE product_id = product AND in_stock <> commerce.is_in_stock(product);
    IF FOUND THEN
        PERFORM commerce.note_search_changes(ARRAY[product]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER stock_levels_search_insert AFTER INSERT ON commerce.stock_levels
    FOR EACH ROW WHEN (NEW.on_hand > NEW.reserved) EXECUTE FUNCTION commerce.product_search_on_stock();
CREATE TRIGGER stock_levels_search_update AFTER UPDATE ON commerce.stock_levels
    FOR EACH ROW WHEN ((OLD.on_hand > OLD.reserved) <> (NEW.on_hand > NEW.reserved))
    EXECUTE FUNCTION commerce.product_search_on_stock();
CREATE TRIGGER stock_levels_search_delete AFTER DELETE ON commerce.stock_levels
    FOR EACH ROW WHEN (OLD.on_hand > OLD.reserved) EXECUTE FUNCTION commerce.product_search_on_stock();

-- What is there already.
SELECT commerce.refresh_product_search(ARRAY(SELECT id FROM commerce.products));
