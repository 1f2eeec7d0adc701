//! The catalogue: products with their variants, images and categories.
//!
//! A simple product has one variant without options. A product with options has one variant for each
//! combination. Prices are in the shop's currency. Stock belongs to `inventory`; the catalogue only reads it,
//! to tell what is available.

mod category;
mod category_names;
mod category_tree;
mod check_product;
mod check_variant;
mod delete_category;
mod description;
mod export;
mod former_slugs;
pub mod image;
pub mod import;
mod insert_product;
mod insert_variants;
pub mod limits;
mod list_products;
mod lock_keys;
mod lock_product;
mod product;
mod read_product;
mod refusal;
mod slugs;
mod update_product;
mod variant_details;
mod variant_matrix;
mod variants;
mod write_category;
mod write_variants;

pub use category::{
    Below, Category, CategoryKey, CategoryPatch, DeleteCategoryError, ListCategoriesError, NewCategory,
    WithChildren, WithProducts, WriteCategoryError, find_category, list_categories,
};
pub use category_names::CategoryName;
pub use category_tree::{CategoryNode, list_breadcrumbs, list_ids_below, list_tree, reorder_categories};
pub use delete_category::delete_category;
pub use export::{ExportLayout, ProductExport};
pub use former_slugs::{find_moved_category, find_moved_product};
pub use insert_product::{InsertedProduct, insert_product};
pub use list_products::{ListProducts, ListProductsError, ProductSort, list_products};
pub use lock_keys::lock_keys;
pub(crate) use lock_product::finish_write;
pub use product::{
    Attributes, Audience, Image, ImageVariant, NewImage, NewProduct, NewVariant, Options, Product,
    ProductPatch, ProductStatus, Variant, VariantPatch,
};
pub use read_product::{ProductKey, find_product, find_product_id, list_products_by_ids};
pub use refusal::{ProductRefusal, UpdateProductError, WriteProductError};
pub use update_product::update_product;
pub use variant_details::{StaffDetails, VariantDetails};
pub use variant_matrix::{OptionValues, add_combinations};
pub(crate) use variants::append_variant;
pub use variants::{add_variant, update_variant};
pub use write_category::{create_category, update_category};
