//! Search by Postgres: full text over weighted fields, typing errors by trigrams of the vocabulary.

use std::collections::BTreeMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use uuid::Uuid;

use super::engine::{EngineError, EngineQuery, FacetCounts, Matches, SearchEngine};
use super::facets::PRICE_BOUNDS;
use super::query::SearchSort;
use super::words::{self, Mistyped, Word};
use crate::db::{Json, Pool};
use crate::ids::{CategoryId, ProductId};

/// The engine that is always there.
#[derive(Clone)]
pub struct PostgresEngine {
    pool: Pool,
}

impl PostgresEngine {
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

impl SearchEngine for PostgresEngine {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn find<'a>(&'a self, query: &'a EngineQuery) -> BoxFuture<'a, Result<Matches, EngineError>> {
        async move { find(&mut *self.pool.get().await?, query).await }.boxed()
    }
}

async fn find(conn: &mut AsyncPgConnection, query: &EngineQuery) -> Result<Matches, EngineError> {
    let mut words = words::look_up(conn, &query.text, Mistyped::UnknownWords).await?;
    if words.is_empty() && !query.text.trim().is_empty() {
        // Nothing but punctuation: no product can be found by it.
        return Ok(Matches::none());
    }
    let mut row = Statement::new(query, &words).load(conn).await?;
    if row.total == 0 && row.near == 0 {
        // A word that only products had that are gone, or others than the rest of the words, may be mistyped as well.
        let meant = words::look_up(conn, &query.text, Mistyped::AnyWord).await?;
        if meant != words {
            row = Statement::new(query, &meant).load(conn).await?;
            words = meant;
        }
    }
    let mut facets = FacetCounts::from(row.facets.0);
    // A facet that is filtered by is there even if it has no values.
    for name in query.options.keys() {
        facets.options.entry(name.clone()).or_default();
    }
    Ok(Matches {
        product_ids: row.page.into_iter().map(ProductId).collect(),
        total: row.total,
        is_total_exact: row.total.max(row.near) < COUNTED_MAX,
        facets,
        terms: words.iter().flat_map(Word::terms).collect(),
    })
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(sql_type = Array<SqlUuid>)]
    page: Vec<Uuid>,
    #[diesel(sql_type = BigInt)]
    total: i64,
    /// Of those that one filter alone keeps out, the most that were counted for a filter.
    #[diesel(sql_type = BigInt)]
    near: i64,
    #[diesel(sql_type = Jsonb)]
    facets: Json<Counts>,
}

#[derive(Deserialize)]
struct Counts {
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

/// Matches beyond this many are not counted, and not ranked if they are in other fields than the title: a word that half the shop has
/// costs no more than one that some thousands have. Facets are counted over the same ones.
pub const COUNTED_MAX: i64 = 5000;

/// So many of the matches, by what can be bought, by title and by age, are ranked by how much they are about the words.
const RANKED_MAX: i64 = 200;

/// Page, total and facets. `missed` is the one filter that a product does not pass: such products are found for that filter's
/// own facet only.
const STATEMENT: &str = "
    WITH RECURSIVE titled AS MATERIALIZED (
        SELECT {columns}, {title_score} AS score FROM commerce.product_search
        WHERE listed AND {in_title} AND {failed} = '{}' LIMIT {counted}),
    others AS MATERIALIZED (
        SELECT {columns}, 0 AS score FROM commerce.product_search
        WHERE listed AND {elsewhere} AND {failed} = '{}' LIMIT (SELECT {counted} - count(*) FROM titled)),
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
               'categories', (SELECT coalesce(jsonb_object_agg(id, n), '{}') FROM (
                   SELECT id, sum(n) AS n FROM filed CROSS JOIN LATERAL (
                       SELECT DISTINCT tree.category AS id FROM tree WHERE tree.below = ANY (category_ids)) AS t
                   GROUP BY id) AS c),
               'price_ranges', (SELECT coalesce(jsonb_object_agg(price_range, n), '{}') FROM (
                   SELECT price_range, sum(n) AS n FROM groups
                   WHERE (missed IS NULL OR missed = 'price') AND price_range IS NOT NULL GROUP BY 1) AS p),
               'in_stock', (SELECT coalesce(jsonb_object_agg(in_stock, n), '{}') FROM (
                   SELECT in_stock, sum(n) AS n FROM groups WHERE missed IS NULL OR missed = 'in_stock' GROUP BY 1) AS s),
               'options', (SELECT coalesce(jsonb_object_agg(pair, n), '{}') FROM (
                   SELECT pair, sum(n) AS n FROM groups CROSS JOIN LATERAL unnest(options) AS pair
                   WHERE missed IS NULL OR missed = 'options.' || split_part(pair, U&'\\001F', 1) GROUP BY 1) AS o)
           ) AS facets";

/// What is known of a match without unpacking its document.
const COLUMNS: &str = "product_id, in_stock, price_from_minor, category_ids, options, created_at";

/// Products that this filter alone keeps out.
const NEAR: &str = "
    (SELECT {filter}::text AS missed, {columns} FROM commerce.product_search
     WHERE listed AND {matches} AND {failed} = ARRAY[{filter}::text] LIMIT {counted})";

/// Without a filter there are none.
const NEAR_NONE: &str = "SELECT NULL::text AS missed, {columns} FROM hits WHERE false";

/// The first matches, ranked among themselves.
const RANKED_PAGE: &str = "
    SELECT product_id FROM (
        SELECT h.product_id, h.in_stock, h.created_at,
               h.score + CASE WHEN s.document @@ {exact} THEN 1 ELSE 0 END
                   + ts_rank('{0.05, 0.2, 0.5, 1.0}', s.document, {any}, 1) AS score
        FROM (SELECT * FROM hits ORDER BY {order} LIMIT {ranked}) AS h
        JOIN commerce.product_search s USING (product_id)) AS best
    ORDER BY {order} LIMIT {limit} OFFSET {offset}";

/// Those behind them.
const UNRANKED_PAGE: &str = "SELECT product_id FROM hits ORDER BY {order} LIMIT {limit} OFFSET {offset}";

/// Sorted by something else than relevance: of all that match, however many.
const SORTED_PAGE: &str = "
    SELECT product_id FROM commerce.product_search WHERE listed AND {matches} AND {failed} = '{}'
    ORDER BY {order} LIMIT {limit} OFFSET {offset}";

/// The names of no filters, as SQL.
const NO_FILTER: &str = "'{}'::text[]";

/// A value for a `$n` in the statement.
enum Bind {
    Text(String),
    Texts(Vec<String>),
    Uuids(Vec<Uuid>),
    Number(i64),
}

struct Statement {
    sql: String,
    binds: Vec<Bind>,
}

/// Conditions for the words of a search, as SQL.
struct Matching {
    /// All words are found.
    matches: String,
    /// They are in the title, all of them.
    in_title: String,
    /// They are not all in the title.
    elsewhere: String,
    /// The typed words count more than what they stand for.
    title_score: String,
    /// The words as a `tsquery`, with and without what they stand for.
    any: String,
    exact: String,
}

impl Statement {
    fn new(query: &EngineQuery, words: &[Word]) -> Self {
        let mut statement = Self { sql: String::new(), binds: Vec::new() };
        let matching = statement.matching(words);
        let (filters, failed) = statement.filters(query);
        // Each filter by itself, so that many whom one keeps out do not crowd out those of another.
        let near: Vec<String> = filters.iter().map(|filter| NEAR.replace("{filter}", filter)).collect();
        let near = near.join(" UNION ALL ");
        let (limit, offset) = (i64::from(query.limit), i64::from(query.offset));
        // Whole pages, so that none begins among the ranked ones and ends behind them.
        let ranked = RANKED_MAX - RANKED_MAX % limit.max(1);
        let (page, order) = match query.sort {
            SearchSort::Relevance if words.is_empty() => {
                (SORTED_PAGE, "in_stock DESC, created_at DESC, product_id")
            }
            SearchSort::Relevance => {
                let page = if offset < ranked { RANKED_PAGE } else { UNRANKED_PAGE };
                (page, "in_stock DESC, score DESC, created_at DESC, product_id")
            }
            SearchSort::Price => {
                (SORTED_PAGE, "price_from_minor ASC NULLS LAST, created_at DESC, product_id")
            }
            SearchSort::PriceDescending => {
                (SORTED_PAGE, "price_from_minor DESC NULLS LAST, created_at DESC, product_id")
            }
            SearchSort::Newest => (SORTED_PAGE, "created_at DESC, product_id DESC"),
        };
        let (limit, offset) = (statement.bind(Bind::Number(limit)), statement.bind(Bind::Number(offset)));
        statement.sql = STATEMENT
            .replace("{page}", page)
            .replace("{near}", if near.is_empty() { NEAR_NONE } else { &near })
            .replace(
                "{range}",
                &format!("width_bucket(price_from_minor, ARRAY{PRICE_BOUNDS:?}::bigint[]) - 1"),
            )
            .replace("{columns}", COLUMNS)
            .replace("{counted}", &COUNTED_MAX.to_string())
            .replace("{ranked}", &ranked.to_string())
            .replace("{matches}", &matching.matches)
            .replace("{in_title}", &matching.in_title)
            .replace("{elsewhere}", &matching.elsewhere)
            .replace("{title_score}", &matching.title_score)
            .replace("{any}", &matching.any)
            .replace("{exact}", &matching.exact)
            .replace("{failed}", &failed)
            .replace("{order}", order)
            .replace("{limit}", &limit)
            .replace("{offset}", &offset);
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

    /// The names of the filters, and an expression for the names of those that a row does not pass.
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

    async fn load(self, conn: &mut AsyncPgConnection) -> QueryResult<FoundRow> {
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
