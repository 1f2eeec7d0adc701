//! A product as a Meilisearch document.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::search::facets::price_range;

/// A listed row of `commerce.product_search`, with its texts folded like search texts.
#[derive(Debug, Clone, QueryableByName)]
pub struct IndexedRow {
    /// The product's id.
    #[diesel(sql_type = SqlUuid)]
    pub product_id: Uuid,
    /// The product's title.
    #[diesel(sql_type = Text)]
    pub title: String,
    /// The SKUs of its variants.
    #[diesel(sql_type = Array<Text>)]
    pub skus: Vec<String>,
    /// Its facts, as words.
    #[diesel(sql_type = Text)]
    pub facts: String,
    /// Its description, as words.
    #[diesel(sql_type = Text)]
    pub body: String,
    /// Its lowest price in minor units.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub price_from_minor: Option<i64>,
    /// Whether it can be bought now.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub in_stock: bool,
    /// Its categories.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub category_ids: Vec<Uuid>,
    /// Its categories and all their ancestors.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub category_tree: Vec<Uuid>,
    /// The values of its options, each with the option's name.
    #[diesel(sql_type = Array<Text>)]
    pub options: Vec<String>,
    /// When the product was made.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// The columns of an [`IndexedRow`], from `product_search` with the alias `s`.
pub const COLUMNS: &str = "s.product_id, commerce.search_text(s.title) AS title,
    ARRAY(SELECT commerce.search_text(sku) FROM unnest(s.skus) AS sku) AS skus,
    commerce.search_text(s.facts) AS facts, commerce.search_text(s.body) AS body,
    s.price_from_minor, s.in_stock, s.category_ids, s.options, s.created_at,
    ARRAY(
        WITH RECURSIVE tree AS (
            SELECT unnest(s.category_ids) AS id
            UNION
            SELECT c.parent_id FROM tree JOIN commerce.categories c ON c.id = tree.id WHERE c.parent_id IS NOT NULL)
        SELECT id FROM tree ORDER BY id) AS category_tree";

/// The document that is sent.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    id: Uuid,
    title: String,
    skus: Vec<String>,
    facts: String,
    /// Plurals and singulars of the words in title and facts, because Meilisearch does not know grammar.
    forms: String,
    body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_range: Option<usize>,
    /// 1 or 0, for sorting.
    in_stock: u8,
    category_ids: Vec<Uuid>,
    /// The categories with all ancestors, for counting. Filters list all descendants of the chosen category
    /// instead, so that filtering is right at once when a category is moved.
    category_tree: Vec<Uuid>,
    /// See [`option_key`].
    options: Vec<String>,
    /// Microseconds since 1970.
    created_at: i64,
}

impl From<IndexedRow> for Document {
    fn from(row: IndexedRow) -> Self {
        let words = row.title.split(' ').chain(row.facts.split(' '));
        let mut forms: Vec<String> = words.flat_map(other_forms).collect();
        forms.sort();
        forms.dedup();
        let joined = row.skus.iter().map(|sku| sku.replace(' ', ""));
        Self {
            id: row.product_id,
            skus: row.skus.iter().cloned().chain(joined).collect(),
            title: row.title,
            facts: row.facts,
            forms: forms.join(" "),
            body: row.body,
            price: row.price_from_minor,
            price_range: row.price_from_minor.map(price_range),
            in_stock: row.in_stock.into(),
            category_ids: row.category_ids,
            category_tree: row.category_tree,
            options: row.options.iter().map(|pair| option_key(pair)).collect(),
            created_at: row.created_at.timestamp_micros(),
        }
    }
}

/// Meilisearch cuts off values of facets after 468 bytes.
const KEYED_BYTES_MAX: usize = 234;

/// `name` U+001F `value` in hexadecimal. Meilisearch ignores case when it compares values, and quotes have a
/// meaning in its filters. A longer pair is replaced by a digest. It can be filtered by, but it is in no
/// facet, because the pair cannot be read from it.
pub fn option_key(pair: &str) -> String {
    if pair.len() <= KEYED_BYTES_MAX {
        return HEXLOWER.encode(pair.as_bytes());
    }
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(pair)))
}

/// The pair of a key.
pub fn pair_of(key: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> =
        (0..key.len()).step_by(2).map(|at| u8::from_str_radix(key.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

/// The plural of an English noun, or the nouns of which it may be the plural.
pub fn other_forms(word: &str) -> Vec<String> {
    let is_noun = word.chars().count() >= 3 && word.chars().all(|c| c.is_alphabetic());
    if !is_noun {
        return Vec::new();
    }
    let ends = |ending: &str| word.strip_suffix(ending);
    if let Some(stem) = ends("ies") {
        return vec![format!("{stem}y")];
    }
    if let Some(stem) = ends("ves") {
        return vec![format!("{stem}f"), format!("{stem}fe"), format!("{stem}ve")];
    }
    if ["sses", "shes", "ches", "xes"].iter().any(|ending| word.ends_with(ending)) {
        return ends("es").map(str::to_owned).into_iter().collect();
    }
    if let Some(stem) = ends("s").filter(|stem| !stem.ends_with('s')) {
        return vec![stem.to_owned()];
    }
    if ["s", "sh", "ch", "x"].iter().any(|ending| word.ends_with(ending)) {
        return vec![format!("{word}es")];
    }
    if let Some(stem) = ends("y").filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        return vec![format!("{stem}ies")];
    }
    if let Some(stem) = ends("fe").or_else(|| ends("lf")).or_else(|| ends("af")) {
        let stem = if word.ends_with("fe") { stem.to_owned() } else { word.trim_end_matches('f').to_owned() };
        return vec![format!("{stem}ves")];
    }
    vec![format!("{word}s")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_and_singulars_find_each_other() {
        for (one, many) in [
            ("lamp", "lamps"),
            ("dish", "dishes"),
            ("glass", "glasses"),
            ("berry", "berries"),
            ("tray", "trays"),
            ("knife", "knives"),
            ("shelf", "shelves"),
            ("leaf", "leaves"),
        ] {
            assert_eq!(other_forms(one), [many]);
            assert!(other_forms(many).contains(&one.to_owned()), "{many}: {:?}", other_forms(many));
        }
        assert_eq!(other_forms("24cm"), Vec::<String>::new());
    }

    #[test]
    fn an_option_comes_back_from_its_key() {
        let pair = "Größe\u{1f}5\" \\ x'y";
        assert_eq!(pair_of(&option_key(pair)).as_deref(), Some(pair));
        assert_eq!(pair_of("zz"), None);
        let long = format!("素材\u{1f}{}", "漆".repeat(80));
        assert!(option_key(&long).len() <= 468);
        assert_ne!(option_key(&long), option_key(&format!("{long}器")));
        assert_eq!(pair_of(&option_key(&long)), None);
    }
}
