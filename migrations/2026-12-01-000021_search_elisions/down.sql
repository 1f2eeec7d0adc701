CREATE OR REPLACE FUNCTION commerce.search_text(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trim(regexp_replace(
        lower(regexp_replace(normalize(coalesce(given, ''), NFKD), U&'[\0300-\036F\2019'']', '', 'g')),
        U&'[\0001-\002F\003A-\0040\005B-\0060\007B-\00BF\2000-\206F\3000-\303F]+', ' ', 'g'))
$$;
DROP FUNCTION commerce.search_query(text);
DROP FUNCTION commerce.search_letters(text);
