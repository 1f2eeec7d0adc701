//! The SQL statement for the page, the total and the facets of a search.

use std::collections::BTreeMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use crate::db::Json;
use crate::ids::CategoryId;
use crate::search::engine::{EngineQuery, FacetCounts};
use crate::search::facets::PRICE_BOUNDS;
use crate::search::query::SearchSort;
use crate::search::words::Word;

/// The most matches that are counted. Matches beyond it are also not ranked, unless all words are in the
/// title. So a word that half of the products have costs no more than a word that some thousands have. Facets
/// are counted over the same matches.
pub const COUNTED_MAX: i64 = 5000;

/// The number of matches that are ranked by relevance. They are chosen by availability, by title and by age.
const RANKED_MAX: i64 = 200;

/// The columns of a match that can be read without unpacking its document.
const COLUMNS: &str = "product_id, in_stock, price_from_minor, category_ids, options, created_at";

/// An empty list of filter names, as SQL.
const NO_FILTER: &str = "'{}'::text[]";

/// SQL for the page, the total and the facets. The column `missed` is the one filter that a product does not
/// pass. Such products count only for that filter's own facet.
fn statement_of(matching: &Matching, failed: &str, near: &str, page: &str) -> String {
    let Matching { in_title, elsewhere, title_score, .. } = matching;
    let range = format!("width_bucket(price_from_minor, ARRAY{PRICE_BOUNDS:?}::bigint[]) - 1");
    format!(
        "
    WITH RECURSIVE titled AS MATERIALIZED (
        SELECT {COLUMNS}, {title_score} AS score FROM commerce.product_search
        WHERE listed AND {in_title} AND {failed} = '{{}}' LIMIT {COUNTED_MAX}),
    others AS MATERIALIZED (
        SELECT {COLUMNS}, 0 AS score FROM commerce.product_search
        WHERE listed AND {elsewhere} AND {failed} = '{{}}' LIMIT (SELECT {COUNTED_MAX} - count(*) FROM titled)),
    hits AS (SELECT * FROM titled UNION ALL SELECT * FROM others),
    near AS ({near}),
    groups AS MATERIALIZED (
        SELECT missed, category_ids, options, in_stock, price_range, count(*) AS n
        FROM (SELECT NULL AS missed, category_ids, options, in_stock, {range} AS price_range FROM hits
              UNION ALL SELECT missed, category_ids, options, in_stock, {range} FROM near) AS counted
        GROUP BY missed, category_ids, options, in_stock, price_range),
    filed AS MATERIALIZED (
        SELECT category_ids, sum(n) AS n FROM groups WHERE missed IS NULL OR missed = 'category' GROUP BY category_ids),
    -- What is below a category is in it, once.
    tree AS (
        SELECT DISTINCT id AS below, id AS category FROM filed CROSS JOIN LATERAL unnest(category_ids) AS id
        UNION
        SELECT tree.below, c.parent_id FROM tree JOIN commerce.categories c ON c.id = tree.category
        WHERE c.parent_id IS NOT NULL)
    SELECT ARRAY({page}) AS page,
           (SELECT coalesce(sum(n), 0)::bigint FROM groups WHERE missed IS NULL) AS total,
           (SELECT coalesce(max(n), 0)::bigint FROM (
               SELECT sum(n) AS n FROM groups WHERE missed IS NOT NULL GROUP BY missed) AS m) AS near,
           jsonb_build_object(
               'categories', (SELECT coalesce(jsonb_object_agg(id, n), '{{}}') FROM (
                   SELECT id, sum(n) AS n FROM filed CROSS JOIN LATERAL (
                       SELECT DISTINCT tree.category AS id FROM tree WHERE tree.below = ANY (category_ids)) AS t
                   GROUP BY id) AS c),
               'price_ranges', (SELECT coalesce(jsonb_object_agg(price_range, n), '{{}}') FROM (
                   SELECT price_range, sum(n) AS n FROM groups
                   WHERE (missed IS NULL OR missed = 'price') AND price_range IS NOT NULL GROUP BY 1) AS p),
               'in_stock', (SELECT coalesce(jsonb_object_agg(in_stock, n), '{{}}') FROM (
                   SELECT in_stock, sum(n) AS n FROM groups WHERE missed IS NULL OR missed = 'in_stock' GROUP BY 1) AS s),
               'options', (SELECT coalesce(jsonb_object_agg(pair, n), '{{}}') FROM (
                   SELECT pair, sum(n) AS n FROM groups CROSS JOIN LATERAL unnest(options) AS pair
                   WHERE missed IS NULL OR missed = 'options.' || split_part(pair, U&'\\001F', 1) GROUP BY 1) AS o)
           ) AS facets"
    )
}

/// SQL for the products that exactly one of these filters keeps out. There is a query for each filter, so
/// that a filter that keeps out many products does not crowd out those of another.
fn near_misses(filters: &[String], matching: &Matching, failed: &str) -> String {
    if filters.is_empty() {
        return format!("SELECT NULL::text AS missed, {COLUMNS} FROM hits WHERE false");
    }
    let matches = &matching.matches;
    let near = filters.iter().map(|filter| {
        format!(
            "
    (SELECT {filter}::text AS missed, {COLUMNS} FROM commerce.product_search
     WHERE listed AND {matches} AND {failed} = ARRAY[{filter}::text] LIMIT {COUNTED_MAX})"
        )
    });
    near.collect::<Vec<_>>().join(" UNION ALL ")
}

/// SQL for a page of the first matches, which are ranked among themselves.
fn ranked_page(matching: &Matching, ranked: i64, order: &str, limit: &str, offset: &str) -> String {
    let Matching { exact, any, .. } = matching;
    format!(
        "
    SELECT product_id FROM (
        SELECT h.product_id, h.in_stock, h.created_at,
               h.score + CASE WHEN s.document @@ {exact} THEN 1 ELSE 0 END
                   + ts_rank('{{0.05, 0.2, 0.5, 1.0}}', s.document, {any}, 1) AS score
        FROM (SELECT * FROM hits ORDER BY {order} LIMIT {ranked}) AS h
        JOIN commerce.product_search s USING (product_id)) AS best
    ORDER BY {order} LIMIT {limit} OFFSET {offset}"
    )
}

/// SQL for a page of the matches after the ranked ones.
fn unranked_page(order: &str, limit: &str, offset: &str) -> String {
    format!("SELECT product_id FROM hits ORDER BY {order} LIMIT {limit} OFFSET {offset}")
}

/// SQL for a page in another order than by relevance, of all matches, however many there are.
fn sorted_page(matching: &Matching, failed: &str, order: &str, limit: &str, offset: &str) -> String {
    let matches = &matching.matches;
    format!(
        "
    SELECT product_id FROM commerce.product_search WHERE listed AND {matches} AND {failed} = '{{}}'
    ORDER BY {order} LIMIT {limit} OFFSET {offset}"
    )
}

/// The answer of the statement.
#[derive(QueryableByName)]
pub(in crate::search) struct FoundRow {
    #[diesel(sql_type = Array<SqlUuid>)]
    pub page: Vec<Uuid>,
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    /// The highest number of products that one filter alone keeps out, as far as they were counted.
    #[diesel(sql_type = BigInt)]
    pub near: i64,
    #[diesel(sql_type = Jsonb)]
    pub facets: Json<Counts>,
}

/// The counts for the facets.
#[derive(Deserialize)]
pub(in crate::search) struct Counts {
    categories: BTreeMap<CategoryId, i64>,
    price_ranges: BTreeMap<usize, i64>,
    in_stock: BTreeMap<bool, i64>,
    /// By `name` U+001F `value`.
    options: BTreeMap<String, i64>,
}

impl From<Counts> for FacetCounts {
    fn from(counts: Counts) -> Self {
        let mut options: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for (pair, count) in counts.options {
            if let Some((name, value)) = pair.split_once('\u{1f}') {
                options.entry(name.to_owned()).or_default().insert(value.to_owned(), count);
            }
        }
        Self {
            categories: counts.categories,
            price_ranges: counts.price_ranges,
            in_stock: counts.in_stock,
            options,
        }
    }
}

/// A value for a `$n` in the statement.
enum Bind {
    Text(String),
    Texts(Vec<String>),
    Uuids(Vec<Uuid>),
    Number(i64),
}

/// The statement of a search.
pub(super) struct Statement {
    sql: String,
    binds: Vec<Bind>,
}

/// SQL conditions for the words of a search.
struct Matching {
    /// All words match.
    matches: String,
    /// All words match in the title.
    in_title: String,
    /// Not all words match in the title.
    elsewhere: String,
    /// The typed words count more than other forms and synonyms.
    title_score: String,
    /// The words as a `tsquery`, with and without other forms and synonyms.
    any: String,
    exact: String,
}

impl Statement {
    pub fn new(query: &EngineQuery, words: &[Word]) -> Self {
        let mut statement = Self { sql: String::new(), binds: Vec::new() };
        let matching = statement.matching(words);
        let (filters, failed) = statement.filters(query);
        let near = near_misses(&filters, &matching, &failed);
        let rows = i64::from(query.limit);
        let first = i64::from(query.offset);
        let (limit, offset) = (statement.bind(Bind::Number(rows)), statement.bind(Bind::Number(first)));
        // A multiple of the page size, so that no page begins among the ranked matches and ends after them.
        let ranked = RANKED_MAX - RANKED_MAX % rows.max(1);
        let sorted = |order| sorted_page(&matching, &failed, order, &limit, &offset);
        let by_score = "in_stock DESC, score DESC, created_at DESC, product_id";
        let page = match query.sort {
            SearchSort::Relevance if words.is_empty() => sorted("in_stock DESC, created_at DESC, product_id"),
            SearchSort::Relevance if first < ranked => {
                ranked_page(&matching, ranked, by_score, &limit, &offset)
            }
            SearchSort::Relevance => unranked_page(by_score, &limit, &offset),
            SearchSort::Price => sorted("price_from_minor ASC NULLS LAST, created_at DESC, product_id"),
            SearchSort::PriceDescending => {
                sorted("price_from_minor DESC NULLS LAST, created_at DESC, product_id")
            }
            SearchSort::Newest => sorted("created_at DESC, product_id DESC"),
        };
        statement.sql = statement_of(&matching, &failed, &near, &page);
        statement
    }

    fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    fn matching(&mut self, words: &[Word]) -> Matching {
        if words.is_empty() {
            let [yes, no] = ["true", "false"].map(str::to_owned);
            return Matching {
                matches: yes.clone(),
                in_title: yes,
                elsewhere: no,
                title_score: "0".to_owned(),
                any: String::new(),
                exact: String::new(),
            };
        }
        let mut tsquery = |exact: bool| {
            let parts: Vec<String> = words.iter().map(|word| word.tsquery(exact)).collect();
            format!("{}::tsquery", self.bind(Bind::Text(parts.join(" & "))))
        };
        let (any, exact) = (tsquery(false), tsquery(true));
        Matching {
            matches: format!("document @@ {any}"),
            in_title: format!("title_document @@ {any}"),
            elsewhere: format!("document @@ {any} AND NOT title_document @@ {any}"),
            title_score: format!("CASE WHEN title_document @@ {exact} THEN 6 ELSE 2 END"),
            any,
            exact,
        }
    }

    /// The names of the filters, and an expression for the names of the filters that a row does not pass.
    fn filters(&mut self, query: &EngineQuery) -> (Vec<String>, String) {
        let mut conditions: Vec<(String, String)> = Vec::new();
        if let Some(categories) = &query.categories {
            let ids = self.bind(Bind::Uuids(categories.iter().map(|id| id.0).collect()));
            conditions.push(("'category'".to_owned(), format!("category_ids && {ids}")));
        }
        let mut prices = Vec::new();
        for (minor, operator) in [(query.price_min_minor, ">="), (query.price_max_minor, "<=")] {
            if let Some(minor) = minor {
                prices.push(format!("price_from_minor {operator} {}", self.bind(Bind::Number(minor))));
            }
        }
        if !prices.is_empty() {
            conditions.push(("'price'".to_owned(), prices.join(" AND ")));
        }
        if let Some(in_stock) = query.in_stock {
            conditions.push(("'in_stock'".to_owned(), format!("in_stock = {in_stock}")));
        }
        for (name, values) in &query.options {
            let label = self.bind(Bind::Text(format!("options.{name}")));
            let pairs =
                self.bind(Bind::Texts(values.iter().map(|value| format!("{name}\u{1f}{value}")).collect()));
            conditions.push((label, format!("options && {pairs}")));
        }
        if conditions.is_empty() {
            return (Vec::new(), NO_FILTER.to_owned());
        }
        let names = conditions.iter().map(|(name, _)| name.clone()).collect();
        let cases: Vec<String> = conditions
            .into_iter()
            .map(|(name, passes)| format!("CASE WHEN ({passes}) THEN NULL ELSE {name}::text END"))
            .collect();
        (names, format!("array_remove(ARRAY[{}], NULL)", cases.join(", ")))
    }

    pub async fn load(self, conn: &mut AsyncPgConnection) -> QueryResult<FoundRow> {
        let mut query = diesel::sql_query(self.sql).into_boxed::<Pg>();
        for bind in self.binds {
            query = match bind {
                Bind::Text(text) => query.bind::<Text, _>(text),
                Bind::Texts(texts) => query.bind::<Array<Text>, _>(texts),
                Bind::Uuids(ids) => query.bind::<Array<SqlUuid>, _>(ids),
                Bind::Number(number) => query.bind::<BigInt, _>(number),
            };
        }
        query.get_result(conn).await
    }
}
