//! `/products/search`: searching products by words.

use std::collections::BTreeMap;

use commerce_core::page::Limit;
use commerce_core::search::{self, OptionFilter, SearchProducts, SearchProductsError};
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};

use crate::http::answer::{Okay, twenty};
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::catalog::products::Product;

pub struct Search(pub State);

#[OpenApi(tag = "Tag::Products")]
impl Search {
    /// Search products
    ///
    /// Finds active products that have all words of `q` in their title, SKU, categories, attributes, options
    /// or description. The last word may be unfinished.
    ///
    /// Typing errors are allowed: one in words of five letters or more, two in words of nine letters or more.
    /// Postgres corrects only words that the shop does not know, or all words if nothing was found. So
    /// Meilisearch may find more.
    ///
    /// Facets count all matches, not only this page. Each facet ignores its own filter. A product counts in
    /// its categories and in their ancestors. If many thousands of products match, Postgres counts the first
    /// 5,000, those with the words in the title first, and `total_is_exact` is `false`.
    #[oai(path = "/products/search", method = "get", operation_id = "search_products")]
    #[allow(clippy::too_many_arguments)]
    async fn search(
        &self,
        /// The search text. Without it, all products are found
        #[oai(validator(max_length = 200))]
        q: Query<Option<String>>,
        /// Ids or slugs of categories. Finds products in any of them or their descendants
        #[oai(validator(max_items = 20))]
        category: Query<Option<Vec<String>>>,
        /// Lower bound of `price_from`, in minor units
        #[oai(validator(minimum(value = "0")))]
        price_min: Query<Option<i64>>,
        /// Upper bound of `price_from`, in minor units
        #[oai(validator(minimum(value = "0")))]
        price_max: Query<Option<i64>>,
        /// Values of options, such as `Size:Small`. Several values of one option mean any of them
        #[oai(validator(max_items = 20))]
        option: Query<Option<Vec<String>>>,
        /// `true`: only products that can be bought now. `false`: only products that are sold out
        in_stock: Query<Option<bool>>,
        /// Best match first by default, products that can be bought before the others
        sort: Query<Option<SearchSort>>,
        /// From 1
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")), default = "one")]
        page: Query<u32>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
    ) -> Result<Okay<SearchResult>, Refused<SearchProductsError>> {
        let search = SearchProducts {
            text: q.0.unwrap_or_default(),
            categories: category.0.unwrap_or_default(),
            price_min_minor: price_min.0,
            price_max_minor: price_max.0,
            options: option.0.iter().flatten().map(|text| option_filter(text)).collect::<Result<_, _>>()?,
            in_stock: in_stock.0,
            sort: sort.0.unwrap_or(SearchSort::Relevance).into(),
            page: page.0,
            per_page: Limit::new(limit.0).unwrap_or_default(),
        };
        let readers = self.0.readers.pool(&self.0.pool).await?;
        let page = search::search_products(readers, self.0.search.as_ref(), &search).await?;
        Ok(Okay::new(SearchResult::from(page)).tagged_as_shown())
    }
}

fn one() -> u32 {
    1
}

fn option_filter(text: &str) -> Result<OptionFilter, Problem> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        let fault = Fault::parameter("option", "must be a name and a value, such as Size:Small");
        Problem::new(Code::InvalidParameter, "An option must be a name, a colon and a value.")
            .with_errors(vec![fault])
    })?;
    Ok(OptionFilter { name: name.to_owned(), value: value.to_owned() })
}

impl Refusal for SearchProductsError {
    const CODES: &'static [Code] = &[Code::InvalidParameter];

    fn problem(self) -> Problem {
        match self {
            Self::TooManyOptions(_) => {
                let fault = Fault::parameter("option", self.to_string());
                Problem::new(Code::InvalidParameter, "The search names too many options.")
                    .with_errors(vec![fault])
            }
            Self::NoConnection(error) => error.into(),
            Self::Database(error) => error.into(),
            Self::Engine(error) => Problem::unavailable(error),
        }
    }
}

/// The sort order of the results. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(remote = "search::SearchSort")]
pub enum SearchSort {
    #[oai(rename = "relevance")]
    Relevance,
    #[oai(rename = "price")]
    Price,
    #[oai(rename = "-price")]
    PriceDescending,
    #[oai(rename = "newest")]
    Newest,
}

/// One page of results.
#[derive(Debug, Object)]
#[oai(example)]
pub struct SearchResult {
    pub data: Vec<FoundProduct>,
    /// The number of results on all pages.
    pub total: i64,
    /// `false` if there are more results than `total`. Postgres stops counting after some thousands, in the
    /// facets too.
    pub total_is_exact: bool,
    /// By field: `category`, `price` (ranges in minor units), `in_stock`, and `options.<name>` for each
    /// option.
    pub facets: BTreeMap<String, Vec<FacetValue>>,
    pub page: u32,
    /// Results on a page.
    pub limit: u16,
    /// The number of pages.
    pub pages: i64,
}

/// A product with highlights.
#[derive(Debug, Object)]
pub struct FoundProduct {
    #[oai(flatten)]
    pub product: Product,
    pub highlights: Highlights,
}

/// HTML. The found words are between `<mark>` and `</mark>`, everything else is escaped.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Highlights {
    pub title: String,
    /// The part of the description around the first found word. Absent if the description has none.
    pub description: Option<String>,
}

/// A value of a facet.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct FacetValue {
    /// The value to filter by: the slug of a category, a price range such as `1000-2499`, `true`, or the
    /// value of an option.
    pub value: String,
    /// The text to show, if it differs from the value, such as the title of a category.
    pub label: Option<String>,
    /// The number of products with this value.
    pub count: i64,
}

impl From<search::SearchPage> for SearchResult {
    fn from(page: search::SearchPage) -> Self {
        let value = |value: search::FacetValue| FacetValue {
            value: value.value,
            label: value.label,
            count: value.count,
        };
        let facets = page.facets.into_iter();
        Self {
            data: page.found.into_iter().map(FoundProduct::from).collect(),
            total: page.total,
            total_is_exact: page.is_total_exact,
            facets: facets.map(|(field, values)| (field, values.into_iter().map(value).collect())).collect(),
            page: page.page,
            limit: page.per_page,
            pages: (page.total + i64::from(page.per_page) - 1) / i64::from(page.per_page.max(1)),
        }
    }
}

impl From<search::FoundProduct> for FoundProduct {
    fn from(found: search::FoundProduct) -> Self {
        let search::Highlights { title, description } = found.highlights;
        Self { product: found.product.into(), highlights: Highlights { title, description } }
    }
}

impl Example for SearchResult {
    fn example() -> Self {
        let value = |value: &str, label: Option<&str>| FacetValue {
            value: value.into(),
            label: label.map(Into::into),
            count: 1,
        };
        Self {
            data: vec![FoundProduct {
                product: Product::example(),
                highlights: Highlights {
                    title: "<mark>Merino</mark> Crew Socks".to_owned(),
                    description: Some("Fine <mark>merino</mark> with a reinforced heel.".to_owned()),
                },
            }],
            total: 1,
            total_is_exact: true,
            facets: BTreeMap::from([
                ("category".to_owned(), vec![value("clothing", Some("Clothing"))]),
                ("price".to_owned(), vec![value("1000-2499", None)]),
                ("in_stock".to_owned(), vec![value("true", None)]),
                ("options.Size".to_owned(), vec![value("M", None)]),
            ]),
            page: 1,
            limit: 20,
            pages: 1,
        }
    }
}
