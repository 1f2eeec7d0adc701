//! Search by Postgres: full text over weighted fields, typing errors by trigrams of the vocabulary.

use std::collections::BTreeMap;
use std::fmt::Write as _;

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
use super::words::{self, Word};
use crate::db::Pool;
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
    let words = words::look_up(conn, &query.text).await?;
    if words.is_empty() && !query.text.trim().is_empty() {
        // Nothing but punctuation: no product can be found by it.
        return Ok(Matches::default());
    }
    let row: FoundRow = Statement::new(query, &words).load(conn).await?;
    let facets = row.facets()?;
    Ok(Matches {
        product_ids: row.page.into_iter().map(ProductId).collect(),
        total: row.total,
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
    #[diesel(sql_type = Jsonb)]
    facets: serde_json::Value,
}

#[derive(Deserialize)]
struct Counts {
    categories: BTreeMap<CategoryId, i64>,
    price_ranges: BTreeMap<usize, i64>,
    in_stock: BTreeMap<bool, i64>,
    /// By `name` U+001F `value`.
    options: BTreeMap<String, i64>,
}

impl FoundRow {
    fn facets(&self) -> QueryResult<FacetCounts> {
        let counts: Counts = serde_json::from_value(self.facets.clone())
            .map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
        let mut options: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for (pair, count) in counts.options {
            if let Some((name, value)) = pair.split_once('\u{1f}') {
                options.entry(name.to_owned()).or_default().insert(value.to_owned(), count);
            }
        }
        Ok(FacetCounts {
            categories: counts.categories,
            price_ranges: counts.price_ranges,
            in_stock: counts.in_stock,
            options,
        })
    }
}

/// Page, total and facets from one pass over what the words match. `failed` names the filters that a product does not
/// pass: none, and it is found; only one, and it still counts for that filter's own facet.
const STATEMENT: &str = "
    WITH hits AS MATERIALIZED (
        SELECT product_id, price_from_minor, in_stock, category_ids, options, created_at,
               {score} AS score, {failed} AS failed
        FROM commerce.product_search
        WHERE listed AND {matches})
    SELECT ARRAY(
               SELECT product_id FROM hits WHERE failed = '{}' ORDER BY {order} LIMIT {limit} OFFSET {offset}) AS page,
           (SELECT count(*) FROM hits WHERE failed = '{}') AS total,
           jsonb_build_object(
               'categories', (SELECT coalesce(jsonb_object_agg(id, n), '{}') FROM (
                   SELECT id, count(*) AS n FROM hits CROSS JOIN LATERAL unnest(category_ids) AS id
                   WHERE failed <@ '{category}' GROUP BY id) AS c),
               'price_ranges', (SELECT coalesce(jsonb_object_agg(range, n), '{}') FROM (
                   SELECT width_bucket(price_from_minor, {bounds}::bigint[]) - 1 AS range, count(*) AS n FROM hits
                   WHERE failed <@ '{price}' AND price_from_minor IS NOT NULL GROUP BY 1) AS p),
               'in_stock', (SELECT coalesce(jsonb_object_agg(in_stock, n), '{}') FROM (
                   SELECT in_stock, count(*) AS n FROM hits WHERE failed <@ '{in_stock}' GROUP BY 1) AS s),
               'options', (SELECT coalesce(jsonb_object_agg(pair, n), '{}') FROM (
                   SELECT pair, count(*) AS n FROM hits CROSS JOIN LATERAL unnest(options) AS pair
                   WHERE failed <@ ARRAY['options.' || split_part(pair, U&'\\001F', 1)] GROUP BY 1) AS o)
           ) AS facets";

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

impl Statement {
    fn new(query: &EngineQuery, words: &[Word]) -> Self {
        let mut statement = Self { sql: String::new(), binds: Vec::new() };
        let (matches, score) = statement.matching(words);
        let failed = statement.failed(query);
        let limit = statement.bind(Bind::Number(query.limit.into()));
        let offset = statement.bind(Bind::Number(query.offset.into()));
        let order = match query.sort {
            SearchSort::Relevance => "in_stock DESC, score DESC, created_at DESC, product_id",
            SearchSort::Price => "price_from_minor ASC NULLS LAST, created_at DESC, product_id",
            SearchSort::PriceDescending => "price_from_minor DESC NULLS LAST, created_at DESC, product_id",
            SearchSort::Newest => "created_at DESC, product_id DESC",
        };
        let bounds = format!("ARRAY{PRICE_BOUNDS:?}");
        statement.sql = STATEMENT
            .replace("{score}", &score)
            .replace("{failed}", &failed)
            .replace("{matches}", &matches)
            .replace("{order}", order)
            .replace("{limit}", &limit)
            .replace("{offset}", &offset)
            .replace("{bounds}", &bounds);
        statement
    }

    fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    /// The condition and the score. All words in the title count most, the typed words more than what they stand for.
    fn matching(&mut self, words: &[Word]) -> (String, String) {
        if words.is_empty() {
            return ("true".to_owned(), "0".to_owned());
        }
        let mut tsquery = |label: &str, exact: bool| {
            let parts: Vec<String> = words.iter().map(|word| word.tsquery(label, exact)).collect();
            format!("{}::tsquery", self.bind(Bind::Text(parts.join(" & "))))
        };
        let (any, exact) = (tsquery("", false), tsquery("", true));
        let (any_title, exact_title) = (tsquery("A", false), tsquery("A", true));
        let mut score = String::new();
        for (weight, condition) in [(4, &exact_title), (2, &any_title), (1, &exact)] {
            let _ = write!(score, "CASE WHEN document @@ {condition} THEN {weight} ELSE 0 END + ");
        }
        // Normalised by the length of the document, so that the one that is about it comes before the one that tells of it.
        let _ = write!(score, "ts_rank('{{0.05, 0.2, 0.5, 1.0}}', document, {any}, 1)");
        (format!("document @@ {any}"), score)
    }

    /// An expression for the names of the filters that a row does not pass.
    fn failed(&mut self, query: &EngineQuery) -> String {
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
            return "'{}'::text[]".to_owned();
        }
        let cases: Vec<String> = conditions
            .into_iter()
            .map(|(name, passes)| format!("CASE WHEN ({passes}) THEN NULL ELSE {name}::text END"))
            .collect();
        format!("array_remove(ARRAY[{}], NULL)", cases.join(", "))
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
