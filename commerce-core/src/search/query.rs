//! What is searched for.

use crate::page::Limit;
use crate::text_enum::text_enum;

text_enum! {
    /// The order of what was found. Products without a price come last in both orders of price; equals come newest first.
    pub enum SearchSort {
        /// What can be bought first, then the best match.
        Relevance = "relevance",
        /// The cheapest first, by the lowest price of each product.
        Price = "price",
        /// The dearest first, by the lowest price of each product.
        PriceDescending = "-price",
        /// The newest first.
        Newest = "newest",
    }
}

/// Words of a text beyond this many are not looked at.
pub const WORDS_MAX: usize = 10;

/// One accepted value of an option, such as `Size` and `Small`.
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
    /// What was typed. All words must be found, each in any field; the last may be unfinished. Empty: all products.
    pub text: String,
    /// Ids or slugs: products in any of them. Unknown ones hold no products.
    pub categories: Vec<String>,
    /// Bounds of the product's lowest price, inclusive, in minor units.
    pub price_min_minor: Option<i64>,
    /// The upper bound of the product's lowest price, inclusive, in minor units.
    pub price_max_minor: Option<i64>,
    /// Of one option any value will do; of several options each must fit.
    pub options: Vec<OptionFilter>,
    /// Whether something of the product can be bought now.
    pub in_stock: Option<bool>,
    /// The order of the matches.
    pub sort: SearchSort,
    /// From 1.
    pub page: u32,
    /// How many products a page holds.
    pub per_page: Limit,
}
