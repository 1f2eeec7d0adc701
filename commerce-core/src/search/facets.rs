//! Facets for display: each field with its values and their counts.

use std::collections::BTreeMap;

use super::engine::FacetCounts;
use crate::ids::CategoryId;

/// The beginnings of the price ranges, in minor units. Each range ends before the next begins, and the last
/// has no end.
pub const PRICE_BOUNDS: &[i64] = &[0, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000];

/// The range of a price.
#[cfg(any(test, feature = "meilisearch"))]
pub fn price_range(price_minor: i64) -> usize {
    PRICE_BOUNDS.partition_point(|bound| *bound <= price_minor).saturating_sub(1)
}

/// `1000-2499`, or `100000-` for the last range: the bounds to filter by.
fn price_label(range: usize) -> String {
    let from = PRICE_BOUNDS.get(range).copied().unwrap_or(0);
    match PRICE_BOUNDS.get(range + 1) {
        Some(next) => format!("{from}-{}", next - 1),
        None => format!("{from}-"),
    }
}

/// One field and its values.
pub type Facet = Vec<FacetValue>;

/// A value, and how many products have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    /// The value to filter by.
    pub value: String,
    /// The text to show, if it differs.
    pub label: Option<String>,
    /// The number of matches with the value.
    pub count: i64,
}

/// Slug and title of a category.
pub type CategoryNames = BTreeMap<CategoryId, (String, String)>;

/// The facets `category`, `price`, `in_stock` and `options.<name>`. Price ranges are in order, true comes
/// before false, and other values are sorted by count and then by name.
pub fn present(counts: FacetCounts, names: &CategoryNames) -> BTreeMap<String, Facet> {
    let plain = |value: String, count: i64| FacetValue { value, label: None, count };
    let categories = counts.categories.into_iter().filter_map(|(id, count)| {
        let (slug, title) = names.get(&id)?;
        Some(FacetValue { value: slug.clone(), label: Some(title.clone()), count })
    });
    let prices = counts.price_ranges.into_iter().map(|(range, count)| plain(price_label(range), count));
    let stock = counts.in_stock.into_iter().rev().map(|(value, count)| plain(value.to_string(), count));
    let mut facets = BTreeMap::from([
        ("category".to_owned(), by_count(categories.collect())),
        ("price".to_owned(), prices.collect()),
        ("in_stock".to_owned(), stock.collect()),
    ]);
    for (name, values) in counts.options {
        let values = values.into_iter().map(|(value, count)| plain(value, count)).collect();
        facets.insert(format!("options.{name}"), by_count(values));
    }
    facets
}

fn by_count(mut values: Facet) -> Facet {
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_is_in_one_range() {
        let labels: Vec<String> =
            [0, 999, 1000, 2499, 99_999, 100_000, i64::MAX].map(price_range).map(price_label).into();
        assert_eq!(labels, ["0-999", "0-999", "1000-2499", "1000-2499", "50000-99999", "100000-", "100000-"]);
    }
}
