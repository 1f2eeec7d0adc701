//! The words of the catalogue: what a product, a variant and an image are, and how one is given.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::money::Money;
use crate::text_enum::text_enum;

text_enum! {
    /// Where a product stands. Shoppers see active ones only.
    pub enum ProductStatus {
        Draft = "draft",
        Active = "active",
        /// Taken from sale for good; orders keep pointing at it.
        Archived = "archived",
    }
}

/// Free key/value pairs of a product: vendor, type, tags, material …
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// The chosen value by option name, such as `{"Size": "Small"}`.
pub type Options = BTreeMap<String, String>;

/// Who reads, which decides what there is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Active products and their active variants.
    Shoppers,
    /// Everything.
    Staff,
}

/// A product as it is read, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub id: ProductId,
    pub slug: String,
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    pub status: ProductStatus,
    pub attributes: Attributes,
    /// Names of the options in the order they are shown; empty for a simple product.
    pub option_names: Vec<String>,
    pub category_ids: Vec<CategoryId>,
    /// By position.
    pub images: Vec<Image>,
    /// By position.
    pub variants: Vec<Variant>,
    /// The lowest price among active variants; absent when there is none.
    pub price_from: Option<Money>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Counts the writes to the product and its variants and images; stock does not count.
    pub version: i32,
}

impl Product {
    /// Whether an active variant can be bought now.
    pub fn in_stock(&self) -> bool {
        self.variants.iter().any(|variant| variant.active && variant.available > 0)
    }
}

/// What is bought: a product in one combination of its options.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    pub id: VariantId,
    pub product_id: ProductId,
    pub sku: Option<String>,
    /// The values of the options, such as `Small / Blue`; `Default` when there are none.
    pub title: String,
    pub options: Options,
    pub price: Money,
    pub compare_at_price: Option<Money>,
    /// Units that can be bought now: on hand minus reserved over all locations, where lapsed holds of carts count
    /// as free.
    pub available: i64,
    pub active: bool,
}

/// A picture: uploaded, or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    /// `http(s)://…`, or a path on the shop's own address.
    pub url: String,
    /// What is seen, for those who do not see it.
    pub alt: String,
    pub position: i32,
    /// Width and height in pixels of an uploaded one; of a link they are not known.
    pub size: Option<(u32, u32)>,
    /// Smaller copies of an uploaded one, by width. They come some moments after the upload.
    pub variants: Vec<ImageVariant>,
}

impl Image {
    /// Whether its file is in the shop's media store.
    pub fn is_uploaded(&self) -> bool {
        self.size.is_some()
    }
}

/// A smaller copy of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageVariant {
    pub width: u32,
    pub height: u32,
    /// A path on the shop's own address.
    pub url: String,
}

/// A product to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewProduct {
    /// Taken as it is, and refused if taken by another; absent: made from the title.
    pub slug: Option<String>,
    pub title: String,
    /// HTML; sanitised before it is stored.
    pub description: String,
    pub status: ProductStatus,
    pub attributes: Attributes,
    /// Empty: the names in the first variant's options, by alphabet.
    pub option_names: Vec<String>,
    pub category_ids: Vec<CategoryId>,
    pub images: Vec<NewImage>,
    pub variants: Vec<NewVariant>,
}

/// A variant to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVariant {
    pub sku: Option<String>,
    /// Exactly the product's options; empty for a simple product.
    pub options: Options,
    pub price: Money,
    pub compare_at_price: Option<Money>,
    pub active: bool,
}

/// An image to be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    pub url: String,
    pub alt: String,
}

/// What to change in a product; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProductPatch {
    pub slug: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub status: Option<ProductStatus>,
    pub attributes: Option<Attributes>,
    /// The same names in another order.
    pub option_names: Option<Vec<String>>,
    pub category_ids: Option<Vec<CategoryId>>,
    /// The whole list: images that are not in it are unlinked.
    pub images: Option<Vec<NewImage>>,
    /// Changes the only variant of a simple product.
    pub only_variant: Option<VariantPatch>,
}

/// What to change in a variant; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VariantPatch {
    /// `Some(None)` removes it.
    pub sku: Option<Option<String>>,
    pub options: Option<Options>,
    pub price: Option<Money>,
    /// `Some(None)` removes it.
    pub compare_at_price: Option<Option<Money>>,
    pub active: Option<bool>,
}

impl VariantPatch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The title of a variant: its values in the order of the product's options.
pub(super) fn variant_title(option_names: &[String], options: &Options) -> String {
    let values: Vec<&str> =
        option_names.iter().filter_map(|name| options.get(name)).map(String::as_str).collect();
    if values.is_empty() { "Default".to_owned() } else { values.join(" / ") }
}
