//! A product as clients see it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commerce_core::catalog;
use poem_openapi::types::{Any, Example};
use poem_openapi::{Enum, Object};
use uuid::Uuid;

use crate::http::answer::Reply;
use crate::http::money::Money;

/// The status of a product. Shoppers see active products only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "catalog::ProductStatus")]
pub enum ProductStatus {
    Draft,
    Active,
    Archived,
}

/// The sort order of products. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(remote = "catalog::ProductSort")]
pub enum ProductSort {
    #[oai(rename = "created_at")]
    CreatedAt,
    #[oai(rename = "-created_at")]
    CreatedAtDescending,
    #[oai(rename = "price")]
    Price,
    #[oai(rename = "-price")]
    PriceDescending,
    #[oai(rename = "title")]
    Title,
    #[oai(rename = "-title")]
    TitleDescending,
}

/// A product that the shop sells.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Product {
    pub id: Uuid,
    /// The readable part of the product's URL.
    pub slug: String,
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    pub status: ProductStatus,
    pub category_ids: Vec<Uuid>,
    /// Who makes or supplies it.
    pub vendor: Option<String>,
    /// Words that the merchant sorts it by.
    pub tags: Vec<String>,
    /// Free-form facts, such as the material.
    pub attributes: BTreeMap<String, Any<serde_json::Value>>,
    /// The names of the options in display order. Empty for a product with one variant.
    pub option_names: Vec<String>,
    pub images: Vec<Image>,
    pub variants: Vec<Variant>,
    /// The lowest price of the active variants. Absent if there are none.
    pub price_from: Option<Money>,
    /// Whether at least one active variant can be bought now.
    pub in_stock: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    #[oai(skip)]
    version: i32,
}

/// A product in one combination of its options. Shoppers buy variants.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "Variant")]
pub struct Variant {
    pub id: Uuid,
    pub sku: Option<String>,
    /// The values of the options, such as `Small / Blue`.
    pub title: String,
    /// The value of each option, by option name.
    pub options: BTreeMap<String, String>,
    pub price: Money,
    /// A higher price to compare with, such as the former price.
    pub compare_at_price: Option<Money>,
    /// Units that can be bought now. Absent if units are not counted, so that any quantity can be bought.
    pub available: Option<i64>,
    /// Whether at least one unit can be bought now.
    pub in_stock: bool,
    pub active: bool,
    /// Whether units are counted. A variant that is not counted, such as a service or a download, is always
    /// available.
    pub track_inventory: bool,
    /// What a unit weighs, in grams.
    pub weight_grams: Option<i32>,
    /// Whether it is sent in a parcel.
    pub requires_shipping: bool,
    /// Whether tax is due on it.
    pub taxable: bool,
    /// The number that a scanner reads, such as a GTIN, an ISBN or a UPC.
    pub barcode: Option<String>,
    /// The URL of the product's image that shows this variant.
    pub image_url: Option<String>,
    /// What a unit costs the merchant. Only in answers to staff.
    pub cost: Option<Money>,
    /// Whether the merchant wants to sell beyond the count. Nothing is sold beyond it. Only in answers to
    /// staff.
    pub continue_selling: Option<bool>,
}

/// An image of a product.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "Image", example)]
pub struct Image {
    pub id: Uuid,
    /// A URL, or a path on this server.
    pub url: String,
    /// Alternative text: what the image shows.
    pub alt: String,
    pub position: i32,
    /// In pixels. Only for uploaded images.
    pub width: Option<u32>,
    /// In pixels. Only for uploaded images.
    pub height: Option<u32>,
    /// Smaller copies of an uploaded image, sorted by width. They appear some moments after the upload.
    pub variants: Vec<ImageVariant>,
}

/// A smaller copy of an image.
#[derive(Debug, Clone, Object)]
#[oai(rename = "ImageVariant")]
pub struct ImageVariant {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A path on this server.
    pub url: String,
}

impl Product {
    /// The product with its `ETag`.
    pub fn reply(self) -> Reply<Self> {
        let version = self.version;
        Reply::new(self).version_as_shown(version)
    }
}

impl From<catalog::Product> for Product {
    fn from(product: catalog::Product) -> Self {
        Self {
            in_stock: product.in_stock(),
            id: product.id.0,
            slug: product.slug,
            title: product.title,
            description: product.description,
            status: product.status.into(),
            category_ids: product.category_ids.into_iter().map(|id| id.0).collect(),
            vendor: product.vendor,
            tags: product.tags,
            attributes: product.attributes.into_iter().map(|(key, value)| (key, Any(value))).collect(),
            option_names: product.option_names,
            images: product.images.into_iter().map(Image::from).collect(),
            variants: product.variants.into_iter().map(Variant::from).collect(),
            price_from: product.price_from.map(Money::from),
            created_at: product.created_at,
            updated_at: product.updated_at,
            version: product.version,
        }
    }
}

impl From<catalog::Variant> for Variant {
    fn from(variant: catalog::Variant) -> Self {
        let (details, staff) = (variant.details, variant.staff);
        Self {
            id: variant.id.0,
            sku: variant.sku,
            title: variant.title,
            options: variant.options,
            price: variant.price.into(),
            compare_at_price: variant.compare_at_price.map(Money::from),
            available: variant.available.units(),
            in_stock: variant.available.covers(1),
            active: variant.active,
            track_inventory: details.track_inventory,
            weight_grams: details.weight_grams,
            requires_shipping: details.requires_shipping,
            taxable: details.taxable,
            barcode: details.barcode,
            image_url: details.image_url,
            continue_selling: staff.as_ref().map(|staff| staff.continue_selling),
            cost: staff.and_then(|staff| staff.cost).map(Money::from),
        }
    }
}

impl From<catalog::Image> for Image {
    fn from(image: catalog::Image) -> Self {
        let variants = image.variants.into_iter();
        Self {
            id: image.id.0,
            url: image.url,
            alt: image.alt,
            position: image.position,
            width: image.size.map(|(width, _)| width),
            height: image.size.map(|(_, height)| height),
            variants: variants
                .map(|catalog::ImageVariant { width, height, url }| ImageVariant { width, height, url })
                .collect(),
        }
    }
}

impl Example for Image {
    fn example() -> Self {
        let path = |last: u8| format!("/media/01939f5c-7e2b-7c4a-9a55-0d8a6a4f00{last:02x}.jpg");
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0003),
            url: path(16),
            alt: "A pair of moss green socks".to_owned(),
            position: 0,
            width: Some(1600),
            height: Some(1200),
            variants: vec![ImageVariant { width: 160, height: 120, url: path(17) }],
        }
    }
}

impl Example for Product {
    fn example() -> Self {
        let id = |last: u128| Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0000 + last);
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: id(1),
            slug: "merino-crew-socks".to_owned(),
            title: "Merino Crew Socks".to_owned(),
            description: "<p>Fine merino with a reinforced heel.</p>".to_owned(),
            status: ProductStatus::Active,
            category_ids: vec![id(2)],
            vendor: Some("Northern Knits".to_owned()),
            tags: vec!["winter".to_owned(), "merino".to_owned()],
            attributes: BTreeMap::from([("material".to_owned(), Any("80 % merino wool".into()))]),
            option_names: vec!["Size".to_owned()],
            images: vec![Image::example()],
            variants: vec![Variant {
                id: id(4),
                sku: Some("SOCK-CREW-M".to_owned()),
                title: "M".to_owned(),
                options: BTreeMap::from([("Size".to_owned(), "M".to_owned())]),
                price: Money::example(),
                compare_at_price: None,
                available: Some(12),
                in_stock: true,
                active: true,
                track_inventory: true,
                weight_grams: Some(90),
                requires_shipping: true,
                taxable: true,
                barcode: Some("4006381333931".to_owned()),
                image_url: Some(Image::example().url),
                cost: None,
                continue_selling: None,
            }],
            price_from: Some(Money::example()),
            in_stock: true,
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }
}
