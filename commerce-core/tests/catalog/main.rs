//! The catalogue on a real Postgres: products, variants, categories, lists and imports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected ends there"
)]

mod categories;
mod exports;
mod given;
mod image_files;
mod images;
mod import_cases;
mod import_details;
mod import_matches;
mod import_reports;
mod import_woocommerce;
mod imports;
mod limits;
mod lists;
mod locks;
mod products;
mod tree;
mod variant_details;
mod variants;
mod vendor_and_tags;
