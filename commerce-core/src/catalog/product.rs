//! The types of the catalogue: products, variants and images, and the values to create and change them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::variant_details::{StaffDetails, VariantDetails};
use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::inventory::Available;
use crate::money::Money;
use crate::text_enum::text_enum;

text_enum! {
    /// The status of a product. Shoppers see active products only.
    pub enum ProductStatus {
        /// Only staff see it.
        Draft = "draft",
        /// Shoppers see it and may buy it.
        Active = "active",
        /// No longer sold. Orders still refer to it.
        Archived = "archived",
    }
}

/// Free-form facts about a product, such as type and material.
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// The value of each option, by option name, such as `{"Size": "Small"}`.
pub type Options = BTreeMap<String, String>;

/// Who reads. It decides what is visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Active products and their active variants.
    Shoppers,
    /// Everything.
    Staff,
}

/// A complete product.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// The product's id.
    pub id: ProductId,
    /// The readable part of its URL. It is unique among products.
    pub slug: String,
    /// What shoppers read.
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    /// Whether shoppers see it.
    pub status: ProductStatus,
    /// Who makes or supplies it.
    pub vendor: Option<String>,
    /// Words that the merchant sorts it by. None is there twice.
    pub tags: Vec<String>,
    /// Facts for people and programs.
    pub attributes: Attributes,
    /// The names of the options in display order. Empty for a simple product.
    pub option_names: Vec<String>,
    /// The categories that it is in.
    pub category_ids: Vec<CategoryId>,
    /// Sorted by position.
    pub images: Vec<Image>,
    /// Sorted by position.
    pub variants: Vec<Variant>,
    /// The lowest price of the active variants. `None` if there are none.
    pub price_from: Option<Money>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// The number of writes to the product, its variants and its images. Changes of stock do not count.
    pub version: i32,
}

impl Product {
    /// Whether an active variant can be bought now.
    pub fn in_stock(&self) -> bool {
        self.variants.iter().any(|variant| variant.active && variant.available.covers(1))
    }
}

/// A product in one combination of its options. Shoppers buy variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The variant's id.
    pub id: VariantId,
    /// The product that it is a variant of.
    pub product_id: ProductId,
    /// The merchant's own number. It is unique among variants.
    pub sku: Option<String>,
    /// The values of the options, such as `Small / Blue`. `Default` if there are no options.
    pub title: String,
    /// The value of each of the product's options.
    pub options: Options,
    /// What one unit costs.
    pub price: Money,
    /// A former or recommended price, to show beside the price.
    pub compare_at_price: Option<Money>,
    /// How much can be bought now: on hand minus reserved, over all locations. Lapsed holds of carts count as
    /// free.
    pub available: Available,
    /// Whether it is for sale.
    pub active: bool,
    /// What it carries.
    pub details: VariantDetails,
    /// What only staff may know of it. `None` for [`Audience::Shoppers`].
    pub staff: Option<StaffDetails>,
}

/// An image: an uploaded file or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image's id.
    pub id: ImageId,
    /// `http(s)://…`, or a path on the shop's own server.
    pub url: String,
    /// Alternative text: what the image shows.
    pub alt: String,
    /// Its place among the product's images, from 0.
    pub position: i32,
    /// Width and height of an uploaded image in pixels. They are not known for a link.
    pub size: Option<(u32, u32)>,
    /// Smaller copies of an uploaded image, sorted by width. They appear some moments after the upload.
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
    /// A path on the shop's own server.
    pub url: String,
}

/// A product to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewProduct {
    /// A given slug is used as it is, and refused if it is taken. `None` derives a slug from the title.
    pub slug: Option<String>,
    /// What shoppers read.
    pub title: String,
    /// HTML; sanitised before it is stored.
    pub description: String,
    /// Whether shoppers see it.
    pub status: ProductStatus,
    /// Who makes or supplies it.
    pub vendor: Option<String>,
    /// Words that the merchant sorts it by. A repeated one counts once, and none contains a comma.
    pub tags: Vec<String>,
    /// Facts for people and programs.
    pub attributes: Attributes,
    /// If empty, the names are those in the first variant's options, in alphabetical order.
    pub option_names: Vec<String>,
    /// The categories that it is in.
    pub category_ids: Vec<CategoryId>,
    /// Images that it links to, in their order.
    pub images: Vec<NewImage>,
    /// The variants, in their order.
    pub variants: Vec<NewVariant>,
}

/// A variant to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVariant {
    /// The merchant's own number. It must be unique among variants.
    pub sku: Option<String>,
    /// A value for each of the product's options. Empty for a simple product.
    pub options: Options,
    /// What one unit costs.
    pub price: Money,
    /// A former or recommended price, to show beside the price.
    pub compare_at_price: Option<Money>,
    /// Whether it is for sale.
    pub active: bool,
    /// What it carries.
    pub details: VariantDetails,
    /// What only staff may know of it.
    pub staff: StaffDetails,
}

/// An image to link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImage {
    /// The URL of the image.
    pub url: String,
    /// The alternative text.
    pub alt: String,
}

/// The changes to a product. `None` keeps the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProductPatch {
    /// The new slug. The former slug redirects to it.
    pub slug: Option<String>,
    /// The new title.
    pub title: Option<String>,
    /// The new description as HTML; sanitised before it is stored.
    pub description: Option<String>,
    /// The new status.
    pub status: Option<ProductStatus>,
    /// The new vendor. `Some(None)` removes it.
    pub vendor: Option<Option<String>>,
    /// The tags from now on.
    pub tags: Option<Vec<String>>,
    /// The attributes from now on.
    pub attributes: Option<Attributes>,
    /// The same names in another order.
    pub option_names: Option<Vec<String>>,
    /// The categories from now on.
    pub category_ids: Option<Vec<CategoryId>>,
    /// The whole list. Images that are not in it are unlinked.
    pub images: Option<Vec<NewImage>>,
    /// Changes the only variant of a simple product.
    pub only_variant: Option<VariantPatch>,
}

/// The changes to a variant. `None` keeps the value.
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
    /// Whether units are counted from now on. [`VariantDetails::track_inventory`] says what becomes of open
    /// carts and orders.
    pub track_inventory: Option<bool>,
    /// The new weight of a unit in grams. `Some(None)` removes it.
    pub weight_grams: Option<Option<i32>>,
    /// Whether it is sent in a parcel.
    pub requires_shipping: Option<bool>,
    /// Whether tax is due on it.
    pub taxable: Option<bool>,
    /// The new barcode. `Some(None)` removes it.
    pub barcode: Option<Option<String>>,
    /// The URL of one of the product's images. `Some(None)` removes it from the variant.
    pub image_url: Option<Option<String>>,
    /// What a unit costs the merchant from now on. `Some(None)` removes it.
    pub cost: Option<Option<Money>>,
    /// Whether the merchant wants to sell beyond the count.
    pub continue_selling: Option<bool>,
}

impl VariantPatch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes the changes to what a variant carries.
    pub(super) fn apply_to(&self, details: &mut VariantDetails, staff: &mut StaffDetails) {
        let Self { weight_grams, barcode, image_url, cost, .. } = self;
        details.track_inventory = self.track_inventory.unwrap_or(details.track_inventory);
        details.weight_grams = weight_grams.unwrap_or(details.weight_grams);
        details.requires_shipping = self.requires_shipping.unwrap_or(details.requires_shipping);
        details.taxable = self.taxable.unwrap_or(details.taxable);
        if let Some(barcode) = barcode {
            details.barcode.clone_from(barcode);
        }
        if let Some(image_url) = image_url {
            details.image_url.clone_from(image_url);
        }
        staff.cost = cost.unwrap_or(staff.cost);
        staff.continue_selling = self.continue_selling.unwrap_or(staff.continue_selling);
    }
}

/// The title of a variant: its values in the order of the product's options.
pub(super) fn variant_title(option_names: &[String], options: &Options) -> String {
    let values: Vec<&str> =
        option_names.iter().filter_map(|name| options.get(name)).map(String::as_str).collect();
    if values.is_empty() { "Default".to_owned() } else { values.join(" / ") }
}
