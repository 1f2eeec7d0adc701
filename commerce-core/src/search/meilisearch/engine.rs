//! The search engine for Meilisearch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use meilisearch_sdk::indexes::Index;
use meilisearch_sdk::search::{MatchingStrategies, SearchQuery, SearchResults, Selectors};
use serde::Deserialize;
use uuid::Uuid;

use super::client::{Meilisearch, MeilisearchError, failed};
use super::document::{option_key, other_forms, pair_of};
use super::http::Http;
use crate::db::Pool;
use crate::ids::{CategoryId, ProductId};
use crate::search::engine::{EngineError, EngineQuery, FacetCounts, Matches, SearchEngine, Term};
use crate::search::index::live_index;
use crate::search::query::{SearchSort, WORDS_MAX};
use crate::search::synonyms::{STOP_WORDS, synonyms_of};
use crate::search::text::search_query;
use crate::search::typos::typos_allowed;

/// Meilisearch, with the index that `commerce.search_indexes` calls live.
#[derive(Clone)]
pub struct MeilisearchEngine {
    pool: Pool,
    server: Meilisearch,
    /// The name of the live index, and when it was read.
    known: Arc<Mutex<Option<(String, Instant)>>>,
}

/// How long the name of the live index is used before the database is asked again. An index that was replaced
/// answers with its last state. If it is gone, the database is asked at once.
const KNOWN_FOR: Duration = Duration::from_secs(1);

impl MeilisearchEngine {
    /// An engine for this server. It uses the vocabulary in the database.
    pub fn new(pool: Pool, server: Meilisearch) -> Self {
        Self { pool, server, known: Arc::default() }
    }

    async fn find(&self, query: &EngineQuery) -> Result<Matches, EngineError> {
        let text = search_query(&query.text);
        if text.is_empty() && !query.text.trim().is_empty() {
            return Ok(Matches::none());
        }
        let known = self.known();
        let uid = match &known {
            Some(uid) => uid.clone(),
            None => self.look_up().await?,
        };
        let results = match self.ask(&uid, &text, query).await {
            Err(MeilisearchError::NoIndex(_)) if known.is_some() => {
                let uid = self.look_up().await?;
                self.ask(&uid, &text, query).await
            }
            results => results,
        };
        let results = results.map_err(|error| EngineError::Unavailable(error.into()))?;
        let mut matches = Matches::none();
        for (at, (field, result)) in results.into_iter().enumerate() {
            if at == 0 {
                matches.total =
                    result.total_hits.and_then(|total| i64::try_from(total).ok()).unwrap_or_default();
                matches.terms = terms(&text);
                matches.product_ids = result.hits.iter().map(|hit| ProductId(hit.result.id)).collect();
            }
            read_facets(&mut matches.facets, field.as_ref(), result);
        }
        Ok(matches)
    }

    fn known(&self) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, since)| since.elapsed() < KNOWN_FOR).map(|(uid, _)| uid.clone())
    }

    /// Reads the live index from the database and remembers it.
    async fn look_up(&self) -> Result<String, EngineError> {
        let asked_at = Instant::now();
        let live = live_index(&mut *self.pool.get().await?).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = live.map(|(uid, _)| (uid, asked_at));
        let uid = known.as_ref().map(|(uid, _)| uid.clone());
        uid.ok_or(EngineError::NoIndex)
    }

    /// Sends one request with the search itself, and one more search for each facet whose own filter must be
    /// ignored.
    async fn ask(
        &self,
        uid: &str,
        text: &str,
        query: &EngineQuery,
    ) -> Result<Vec<(Option<Filtered>, SearchResults<Hit>)>, MeilisearchError> {
        let filters = filters(query);
        let index = self.server.searching.index(uid);
        let fields: Vec<Option<Filtered>> =
            std::iter::once(None).chain(filters.keys().cloned().map(Some)).collect();
        let expressions: Vec<String> = fields
            .iter()
            .map(|field| {
                let others = filters.iter().filter(|(name, _)| field.as_ref() != Some(*name));
                others.map(|(_, filter)| format!("({filter})")).collect::<Vec<_>>().join(" AND ")
            })
            .collect();
        let per_page = usize::from(query.limit.max(1));
        let page = usize::try_from(query.offset).unwrap_or(0) / per_page + 1;
        let mut request = self.server.searching.multi_search();
        for (field, expression) in fields.iter().zip(&expressions) {
            let mut part = part(&index, text, expression);
            match field {
                None => {
                    part.with_page(page).with_hits_per_page(per_page).with_sort(sort(query.sort));
                }
                Some(_) => {
                    part.with_page(1).with_hits_per_page(1);
                }
            }
            request.with_search_query(part);
        }
        let response = self.server.searching.execute_multi_search_query::<Hit>(&request).await;
        let response = response.map_err(|error| failed(uid, error))?;
        Ok(fields.into_iter().zip(response.results).collect())
    }
}

impl SearchEngine for MeilisearchEngine {
    fn name(&self) -> &'static str {
        "meilisearch"
    }

    fn find<'a>(&'a self, query: &'a EngineQuery) -> BoxFuture<'a, Result<Matches, EngineError>> {
        self.find(query).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async move {
            self.look_up().await?;
            self.server.check().await.map_err(|error| EngineError::Unavailable(error.into()))
        }
        .boxed()
    }
}

#[derive(Debug, Deserialize)]
struct Hit {
    id: Uuid,
}

/// The filters, each of which is a facet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Filtered {
    Category,
    Price,
    InStock,
    Option(String),
}

fn filters(query: &EngineQuery) -> BTreeMap<Filtered, String> {
    let one_of = |field: &str, values: Vec<String>| match values.as_slice() {
        // Matches nothing.
        [] => format!("{field} = \"\""),
        values => format!("{field} IN [{}]", values.join(", ")),
    };
    let mut filters = BTreeMap::new();
    if let Some(categories) = &query.categories {
        let ids = categories.iter().map(|id| format!("\"{id}\"")).collect();
        filters.insert(Filtered::Category, one_of("category_ids", ids));
    }
    let bounds = [("price >=", query.price_min_minor), ("price <=", query.price_max_minor)];
    let bounds: Vec<String> =
        bounds.iter().filter_map(|(field, minor)| Some(format!("{field} {}", (*minor)?))).collect();
    if !bounds.is_empty() {
        filters.insert(Filtered::Price, bounds.join(" AND "));
    }
    if let Some(in_stock) = query.in_stock {
        filters.insert(Filtered::InStock, format!("in_stock = {}", u8::from(in_stock)));
    }
    for (name, values) in &query.options {
        let keys = values
            .iter()
            .map(|value| format!("\"{}\"", option_key(&format!("{name}\u{1f}{value}"))))
            .collect();
        filters.insert(Filtered::Option(name.clone()), one_of("options", keys));
    }
    filters
}

fn sort(sort: SearchSort) -> &'static [&'static str] {
    match sort {
        SearchSort::Relevance => &[],
        SearchSort::Price => &["price:asc", "created_at:desc"],
        SearchSort::PriceDescending => &["price:desc", "created_at:desc"],
        SearchSort::Newest => &["created_at:desc"],
    }
}

/// The common part of all searches in the request.
fn part<'a>(index: &'a Index<Http>, text: &'a str, filter: &'a str) -> SearchQuery<'a, Http> {
    let mut part = SearchQuery::new(index);
    part.with_index_uid()
        .with_query(text)
        .with_matching_strategy(MatchingStrategies::ALL)
        .with_facets(Selectors::Some(&["category_tree", "price_range", "in_stock", "options"]))
        .with_attributes_to_retrieve(Selectors::Some(&["id"]));
    if !filter.is_empty() {
        part.with_filter(filter);
    }
    part
}

/// The words to mark: everything that the words of a folded text can match in Meilisearch. Meilisearch could
/// mark them itself, but that would take a third of its time.
fn terms(text: &str) -> Vec<Term> {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).take(WORDS_MAX).collect();
    let all_stop = words.iter().all(|word| STOP_WORDS.contains(word));
    let mut terms = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if STOP_WORDS.contains(word) && !all_stop {
            continue;
        }
        let is_last = at + 1 == words.len();
        let forgiving = |word: String, prefix: bool| Term { typos: typos_allowed(&word), word, prefix };
        let exact = |word: String| Term { word, prefix: false, typos: 0 };
        terms.push(forgiving((*word).to_owned(), is_last));
        terms.extend(other_forms(word).into_iter().map(|form| forgiving(form, false)));
        for other in synonyms_of([*word]) {
            terms.push(exact(other.to_owned()));
            terms.extend(other_forms(other).into_iter().map(exact));
        }
        // Two words that others may write as one.
        let joined = words.get(at + 1).map(|next| format!("{word}{next}"));
        terms.extend(joined.map(|word| Term { word, prefix: at + 2 == words.len(), typos: 0 }));
    }
    terms
}

/// Reads the facets of a part of the answer. The part for one filter has its own facet, and the search itself
/// has all facets without a filter.
fn read_facets(counts: &mut FacetCounts, field: Option<&Filtered>, result: SearchResults<Hit>) {
    let mut distribution = result.facet_distribution.unwrap_or_default();
    let mut take = |name: &str| -> Vec<(String, i64)> {
        let values = distribution.remove(name).unwrap_or_default().into_iter();
        values.map(|(value, count)| (value, i64::try_from(count).unwrap_or(i64::MAX))).collect()
    };
    let takes = |own: &Filtered| field.is_none_or(|field| field == own);
    if takes(&Filtered::Category) {
        let values = take("category_tree").into_iter();
        counts.categories =
            values.filter_map(|(id, count)| Some((id.parse::<CategoryId>().ok()?, count))).collect();
    }
    if takes(&Filtered::Price) {
        let values = take("price_range").into_iter();
        counts.price_ranges =
            values.filter_map(|(range, count)| Some((range.parse().ok()?, count))).collect();
    }
    if takes(&Filtered::InStock) {
        counts.in_stock = take("in_stock").into_iter().map(|(value, count)| (value == "1", count)).collect();
    }
    let mut options: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for (key, count) in take("options") {
        if let Some((name, value)) = pair_of(&key).as_deref().and_then(|pair| pair.split_once('\u{1f}')) {
            options.entry(name.to_owned()).or_default().insert(value.to_owned(), count);
        }
    }
    match field {
        None => counts.options = options,
        Some(Filtered::Option(name)) => {
            let values = options.remove(name).unwrap_or_default();
            counts.options.insert(name.clone(), values);
        }
        Some(_) => {}
    }
}
