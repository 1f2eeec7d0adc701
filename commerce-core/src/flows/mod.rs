//! What touches several domains, one use case a file. Nothing else in this crate imports from here.

mod create_product;

pub use create_product::{CreateProduct, CreateProductError, STOCK_MAX, create_product, create_variant};
