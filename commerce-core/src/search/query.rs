//! Search queries.

use crate::page::Limit;
use crate::text_enum::text_enum;

text_enum! {
    /// The sort order of results. Products without a price come last in both orders by price. Equal products
    /// are sorted newest first.
    pub enum SearchSort {
        /// Products that can be bought first, then the best match.
        Relevance = "relevance",
        /// The cheapest first, by the lowest price of each product.
        Price = "price",
        /// The most expensive first, by the lowest price of each product.
        PriceDescending = "-price",
        /// The newest first.
        Newest = "newest",
    }
}

/// The most words of a text that are used.
pub const WORDS_MAX: usize = 10;

/// An accepted value of an option, such as `Size` and `Small`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OptionFilter {
    /// The option's name, such as Size.
    pub name: String,
    /// The value that a variant must have.
    pub value: String,
}

/// A search of active products.
#[derive(Debug, Clone)]
pub struct SearchProducts {
    /// The search text. All words must match, each in any field, and the last word may be unfinished. Empty
    /// for all products.
    pub text: String,
    /// Ids or slugs. Finds products in any of these categories. An unknown category has no products.
    pub categories: Vec<String>,
    /// The lower bound of the product's lowest price, inclusive, in minor units.
    pub price_min_minor: Option<i64>,
    /// The upper bound of the product's lowest price, inclusive, in minor units.
    pub price_max_minor: Option<i64>,
    /// Several values of one option mean any of them. Filters of several options must all match.
    pub options: Vec<OptionFilter>,
    /// Whether the product can be bought now.
    pub in_stock: Option<bool>,
    /// The order of the matches.
    pub sort: SearchSort,
    /// From 1.
    pub page: u32,
    /// How many products a page holds.
    pub per_page: Limit,
}
