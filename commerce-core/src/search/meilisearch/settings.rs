//! The settings of an index. A change here needs a new version, and indexes of older versions are then
//! rebuilt.

use std::collections::HashMap;

use meilisearch_sdk::settings::{
    FacetingSettings, MinWordSizeForTypos, PaginationSetting, Settings, TypoToleranceSettings,
};

use crate::search::synonyms::{STOP_WORDS, SYNONYMS};

/// The version of the settings and of the form of documents.
pub const SETTINGS_VERSION: i32 = 3;

/// The fields that are searched. A match in an earlier field counts more.
const SEARCHED: [&str; 5] = ["title", "skus", "facts", "body", "forms"];

pub fn settings() -> Settings {
    let synonyms: HashMap<String, Vec<String>> = SYNONYMS
        .iter()
        .flat_map(|line| {
            line.iter().map(|word| {
                let others = line.iter().filter(|other| *other != word);
                ((*word).to_owned(), others.map(|other| (*other).to_owned()).collect())
            })
        })
        .collect();
    let typos = TypoToleranceSettings {
        enabled: Some(true),
        disable_on_attributes: Some(vec!["skus".to_owned()]),
        min_word_size_for_typos: Some(MinWordSizeForTypos { one_typo: Some(5), two_typos: Some(9) }),
        disable_on_numbers: Some(true),
        ..TypoToleranceSettings::default()
    };
    Settings::new()
        .with_searchable_attributes(SEARCHED)
        .with_filterable_attributes([
            "category_ids",
            "category_tree",
            "price",
            "price_range",
            "in_stock",
            "options",
        ])
        .with_sortable_attributes(["price", "created_at"])
        // First the requested order, then what can be bought, then the best match, then the newest.
        .with_ranking_rules([
            "sort",
            "in_stock:desc",
            "words",
            "typo",
            "attribute",
            "proximity",
            "exactness",
            "created_at:desc",
        ])
        .with_stop_words(STOP_WORDS)
        .with_synonyms(synonyms)
        .with_typo_tolerance(typos)
        .with_faceting(FacetingSettings { max_values_per_facet: 10_000, sort_facet_values_by: None })
        .with_pagination(PaginationSetting { max_total_hits: 10_000_000 })
}
