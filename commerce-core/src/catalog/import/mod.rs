//! Importing a merchant's catalogue from a CSV file.
//!
//! [`ProductReader`] reads a file product by product, without a database, and names every wrong line.
//! [`upsert_products`] writes the products. There are three layouts: Shopify's and WooCommerce's product
//! exports, and our own (see [`Layout`]). The lines of a product stand together and share its key; only
//! WooCommerce's variations stand anywhere. The first line describes the product, and each line may add a
//! variant, an image or both.
//!
//! An existing product is found by the key under which it was imported, by its slug, by a former slug, or else
//! by the SKUs of its variants. Keys are compared as they stand, also if the slugs made from them would be the
//! same. A variant is found by its SKU, or else by its options. So importing a file twice changes nothing, and
//! a product that was renamed keeps its new slug. An import adds and changes. It never removes a variant, a category or an
//! attribute, and columns that a file does not have change nothing.

pub(super) mod details;
mod dialect;
mod findings;
mod group;
mod identity;
mod line;
mod matching;
mod mend;
pub(super) mod native;
mod prices;
mod reader;
mod recognise;
mod scattered;
mod shopify;
mod table;
mod upsert;
mod woocommerce;
mod woocommerce_cells;
mod woocommerce_details;

use super::category_names::CategoryName;
use super::product::{Attributes, NewImage, NewVariant, ProductStatus, VariantPatch};
use crate::money::Currency;
use crate::text_enum::text_enum;

pub use findings::{Faults, IgnoredColumn, LineError, Noted, WarningKind, Warnings};
pub(super) use identity::keys_of_products;
pub use reader::{KeyLines, ProductReader, RowRead};
pub(crate) use table::{BrokenRow, Row, Table};
pub use upsert::{Outcome, Upserted, upsert_products};

text_enum! {
    /// How to read the columns of a file.
    pub enum Layout {
        /// Shopify's product CSV, with the column names of its older and its newer exports.
        Shopify = "shopify",
        /// Columns `slug`, `title` and `price`, and optionally `description`, `status`, `vendor`, `tags`
        /// (separated by commas), `categories` (titles
        /// separated by `|`, or JSON pairs of titles and slugs: `[["Sale","winter-sale"]]`), `options` (`Size=S; Color=Blue`), `sku`, `compare_at_price`, `currency`,
        /// `stock`, `active`, `track_inventory`, `continue_selling`, `weight_grams`, `requires_shipping`,
        /// `taxable`, `barcode`, `cost`, `variant_image_url`, `image_url`, `image_alt`, `attribute:NAME` for an attribute that is a text, and
        /// `attributes` for other attributes, as a JSON object. Options that contain `=` or `;` are JSON
        /// pairs: `[["Size","S;M"]]`.
        Native = "native",
        /// WooCommerce's product CSV, as it exports it in English.
        WooCommerce = "woocommerce",
    }
}

text_enum! {
    /// What happens to products that the shop already has.
    pub enum ExistingProducts {
        /// They are changed to what the file says.
        Update = "update",
        /// They are not changed.
        Leave = "leave",
    }
}

text_enum! {
    /// What happens to a SKU that another variant already has.
    pub enum RepeatedSku {
        /// It is an error.
        Refuse = "refuse",
        /// The first variant keeps it, and the others are imported without a SKU.
        Drop = "drop",
    }
}

impl RepeatedSku {
    /// Shopify allows a style number that all sizes share.
    fn of(layout: Layout) -> Self {
        match layout {
            Layout::Native => Self::Refuse,
            Layout::Shopify | Layout::WooCommerce => Self::Drop,
        }
    }
}

/// How products are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The layout of the file, whose source has keys for products.
    pub layout: Layout,
    /// What happens to products that the shop already has.
    pub existing: ExistingProducts,
    /// What happens to a SKU that a variant of another product has.
    pub repeated_sku: RepeatedSku,
    /// The shop's currency.
    pub currency: Currency,
}

/// A product of a file. A field is `None` if the file does not have its column.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedProduct {
    /// The name that the source has for the product, as it stands in the file.
    pub key: String,
    /// The slug for a new product. If it was made from something else, and is taken, the product gets a number.
    pub slug: String,
    /// Whether the source's key is the slug.
    pub is_slug_given: bool,
    /// The title.
    pub title: String,
    /// HTML, not yet sanitised.
    pub description: Option<String>,
    /// The status.
    pub status: Option<ProductStatus>,
    /// The place that says why shoppers will not see the product.
    pub hidden: Option<LineError>,
    /// Who makes or supplies it.
    pub vendor: Option<String>,
    /// Its tags. If the file has none, those that the product has are kept.
    pub tags: Vec<String>,
    /// Attributes to add to those of the product.
    pub attributes: Attributes,
    /// Its categories. Missing categories are created.
    pub categories: Vec<CategoryName>,
    /// The names of its options, in their order.
    pub option_names: Vec<String>,
    /// The images that it links to, in their order.
    pub images: Vec<NewImage>,
    /// The variants, in the order of the file.
    pub variants: Vec<ImportedVariant>,
    /// The places of the values, for errors that are found later.
    pub places: Places,
}

/// A variant of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedVariant {
    /// The variant itself.
    pub variant: NewVariant,
    /// Whether the file has a column for the compare-at price.
    pub has_compare_at_column: bool,
    /// Whether the file says if the variant is active.
    pub has_active_column: bool,
    /// Units on hand.
    pub stock: Option<i64>,
    /// What it carries, as far as the file says it.
    pub details: VariantPatch,
}

/// The lines and columns that a product was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The names of the columns.
    pub columns: Columns,
    /// The line that the product begins on.
    pub product_line: u64,
    /// The line of each variant.
    pub variant_lines: Vec<u64>,
    /// The line of each image.
    pub image_lines: Vec<u64>,
}

/// The names of the columns in the file's own header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The column of the slug.
    pub slug: String,
    /// The column of the title.
    pub title: String,
    /// The column of the description.
    pub description: String,
    /// The column of the attributes.
    pub attributes: String,
    /// The column of the categories.
    pub categories: String,
    /// The column of the options.
    pub options: String,
    /// The column of the SKU.
    pub sku: String,
    /// The column of the price.
    pub price: String,
    /// The column of the compare-at price.
    pub compare_at_price: String,
    /// The column of the units on hand.
    pub stock: String,
    /// The column of an image's URL.
    pub image_url: String,
    /// The column of an image's alternative text.
    pub image_alt: String,
}

impl Places {
    /// The error at the place in the file that a JSON pointer names in the product.
    pub fn error(&self, pointer: &str, message: impl Into<String>) -> LineError {
        let columns = &self.columns;
        let mut parts = pointer.split('/').skip(1);
        let (first, index, last) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next());
        let nth = |lines: &[u64]| {
            index.parse().ok().and_then(|at: usize| lines.get(at)).copied().unwrap_or(self.product_line)
        };
        let (line, column) = match (first, last) {
            ("variants", Some("sku")) => (nth(&self.variant_lines), &columns.sku),
            ("variants", Some("price")) => (nth(&self.variant_lines), &columns.price),
            ("variants", Some("compare_at_price")) => (nth(&self.variant_lines), &columns.compare_at_price),
            ("variants", Some("stock")) => (nth(&self.variant_lines), &columns.stock),
            ("variants", _) => (nth(&self.variant_lines), &columns.options),
            ("images", Some("alt")) => (nth(&self.image_lines), &columns.image_alt),
            ("images", _) => (nth(&self.image_lines), &columns.image_url),
            ("option_names", _) => (self.product_line, &columns.options),
            ("slug", _) => (self.product_line, &columns.slug),
            ("description", _) => (self.product_line, &columns.description),
            ("attributes", _) => (self.product_line, &columns.attributes),
            ("category_ids", _) => (self.product_line, &columns.categories),
            _ => (self.product_line, &columns.title),
        };
        LineError { line, column: column.clone(), message: message.into() }
    }
}
