-- The letters of a text in lower case: without accents, with one sign for all apostrophes, and ligatures as two letters. A spaced
-- acute accent stands for an apostrophe, so it is replaced before its decomposition.
CREATE FUNCTION commerce.search_letters(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(replace(replace(
        regexp_replace(
            lower(regexp_replace(
                normalize(translate(coalesce(given, ''), U&'\0060\00B4\02BC\2018\2019\201B\2032', ''''''''''''''''), NFKD),
                U&'[\0300-\036F]', '', 'g')),
            U&'[\0001-\0026\0028-\002C\002E\002F\003A-\0040\005B-\0060\007B-\00BF\2000-\206F\3000-\303F]+', ' ', 'g'),
        U&'\00DF', 'ss'), U&'\0153', 'oe'), U&'\00E6', 'ae')
$$;

-- The words of a text to be found, with one space between them. Beside a word with an elision (l'huile) the word behind the
-- apostrophe stands too, and beside a letter with a word (t-shirt) both as one. Ranges are spelled out because what counts as a letter
-- depends on the locale of the database. Most texts have no apostrophe, so it is looked for first.
CREATE OR REPLACE FUNCTION commerce.search_text(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trim(regexp_replace(
        regexp_replace(
            CASE WHEN given ~ U&'[''\0060\00B4\02BC\2018\2019\201B\2032\FF07]' THEN
                replace(regexp_replace(commerce.search_letters(given),
                    '(^|[ -])((?:[cdjlmnstv]|qu|jusqu|lorsqu|puisqu|quoiqu|presqu|quelqu|un|all|dall|dell|nell|sull|coll'
                    '|quell|quest|bell|sant|gl|dov|com|tutt|anch|mezz)''+)([aeiouyh][^ -]*)',
                    '\1\2\3 \3', 'g'), '''', '')
            ELSE commerce.search_letters(given) END,
            '(^| )([a-z])-([a-z][^ -]*)', '\1\2 \3 \2\3', 'g'),
        '[ -]{2,}|-', ' ', 'g'))
$$;

-- The words of a search. Of a word with an elision only what stands behind the apostrophe: it is in every text with the word.
CREATE FUNCTION commerce.search_query(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trim(regexp_replace(
        replace(regexp_replace(commerce.search_letters(given),
            '(^|[ -])(?:[cdjlmnstv]|qu|jusqu|lorsqu|puisqu|quoiqu|presqu|quelqu|un|all|dall|dell|nell|sull|coll'
            '|quell|quest|bell|sant|gl|dov|com|tutt|anch|mezz)''+([aeiouyh])',
            '\1\2', 'g'), '''', ''),
        '[ -]{2,}|-', ' ', 'g'))
$$;

-- The rows whose words are others now.
UPDATE commerce.product_search SET
    title_document = strip(to_tsvector('simple', commerce.search_text(title))),
    document = setweight(to_tsvector('simple', commerce.search_text(title)), 'A')
        || setweight(to_tsvector('simple', commerce.search_text(array_to_string(skus, ' ')) || ' '
                                 || coalesce((SELECT string_agg(replace(commerce.search_text(sku), ' ', ''), ' ')
                                              FROM unnest(skus) AS sku), '')), 'B')
        || setweight(to_tsvector('simple', commerce.search_text(facts)), 'C')
        || setweight(to_tsvector('simple', left(commerce.search_text(body), 200000)), 'D')
WHERE concat_ws(' ', title, facts, body, array_to_string(skus, ' '))
      ~ U&'[''\0060\00B4\02BC\2018\2019\201B\2032\00DF\0153\0152\00E6\00C6-]';
INSERT INTO commerce.search_words (word, stem)
SELECT word, coalesce((ts_lexize('pg_catalog.english_stem', word))[1], word)
FROM (SELECT DISTINCT unnest(tsvector_to_array(document)) AS word FROM commerce.product_search WHERE listed) AS found
WHERE length(word) <= 60 AND NOT EXISTS (SELECT FROM commerce.search_words k WHERE k.word = found.word);
