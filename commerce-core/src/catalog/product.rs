//! The words of the catalogue: what a product, a variant and an image are, and how one is given.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::money::Money;
use crate::text_enum::text_enum;

text_enum! {
    /// Where a product stands. Shoppers see active ones only.
    pub enum ProductStatus {
        /// Only staff see it.
        Draft = "draft",
        /// Shoppers see it and may buy it.
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
    /// The product's id.
    pub id: ProductId,
    /// Its readable address, which no other product has.
    pub slug: String,
    /// What shoppers read.
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    /// Whether shoppers see it.
    pub status: ProductStatus,
    /// Facts for people and programs.
    pub attributes: Attributes,
    /// Names of the options in the order they are shown; empty for a simple product.
    pub option_names: Vec<String>,
    /// The categories that it is in.
    pub category_ids: Vec<CategoryId>,
    /// By position.
    pub images: Vec<Image>,
    /// By position.
    pub variants: Vec<Variant>,
    /// The lowest price among active variants; absent when there is none.
    pub price_from: Option<Money>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
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
    /// The variant's id.
    pub id: VariantId,
    /// The product that it is a variant of.
    pub product_id: ProductId,
    /// The merchant's own number, which no other variant has.
    pub sku: Option<String>,
    /// The values of the options, such as `Small / Blue`; `Default` when there are none.
    pub title: String,
    /// The value of each of the product's options.
    pub options: Options,
    /// What one unit costs.
    pub price: Money,
    /// A former or recommended price, to be shown beside the price.
    pub compare_at_price: Option<Money>,
    /// Units that can be bought now: on hand minus reserved over all locations, where lapsed holds of carts count
    /// as free.
    pub available: i64,
    /// Whether it is for sale.
    pub active: bool,
}

/// A picture: uploaded, or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image's id.
    pub id: ImageId,
    /// `http(s)://…`, or a path on the shop's own address.
    pub url: String,
    /// What is seen, for those who do not see it.
    pub alt: String,
    /// Its place among the product's images, from 0.
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
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// A path on the shop's own address.
    pub url: String,
}

/// A product to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewProduct {
    /// Taken as it is, and refused if taken by another; absent: made from the title.
    pub slug: Option<String>,
    /// What shoppers read.
    pub title: String,
    /// HTML; sanitised before it is stored.
    pub description: String,
    /// Whether shoppers see it.
    pub status: ProductStatus,
    /// Facts for people and programs.
    pub attributes: Attributes,
    /// Empty: the names in the first variant's options, by alphabet.
    pub option_names: Vec<String>,
    /// The categories that it is in.
    pub category_ids: Vec<CategoryId>,
    /// Images that it links to, in their order.
    pub images: Vec<NewImage>,
    /// The variants, in their order.
    pub variants: Vec<NewVariant>,
}

/// A variant to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVariant {
    /// The merchant's own number, which no other variant may have.
    pub sku: Option<String>,
    /// Exactly the product's options; empty for a simple product.
    pub options: Options,
    /// What one unit costs.
    pub price: Money,
    /// A former or recommended price, to be shown beside the price.
    pub compare_at_price: Option<Money>,
    /// Whether it is for sale.
    pub active: bool,
}

/// An image to be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    /// Where the image is.
    pub url: String,
    /// The text that stands for the image.
    pub alt: String,
}

/// What to change in a product; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProductPatch {
    /// The new slug. The former one leads to it.
    pub slug: Option<String>,
    /// The new title.
    pub title: Option<String>,
    /// The new description as HTML; sanitised before it is stored.
    pub description: Option<String>,
    /// The new status.
    pub status: Option<ProductStatus>,
    /// The attributes from now on.
    pub attributes: Option<Attributes>,
    /// The same names in another order.
    pub option_names: Option<Vec<String>>,
    /// The categories from now on.
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
    /// The value of each option from now on.
    pub options: Option<Options>,
    /// The new price.
    pub price: Option<Money>,
    /// `Some(None)` removes it.
    pub compare_at_price: Option<Option<Money>>,
    /// Whether it is for sale from now on.
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
