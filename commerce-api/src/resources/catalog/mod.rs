//! Products, categories, images, and the catalogue as a file.

pub mod categories;
pub mod export;
pub mod images;
pub mod import;
pub mod media;
pub mod products;
