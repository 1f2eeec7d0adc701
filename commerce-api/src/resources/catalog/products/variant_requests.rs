//! The requests that create and change variants.

use std::collections::BTreeMap;

use commerce_core::catalog::{NewVariant, OptionValues, StaffDetails, VariantDetails, VariantPatch};
use commerce_core::money;
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};

use crate::http::money::Money;
use crate::http::problem::Problem;

/// A variant to create.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CreateVariantRequest {
    #[oai(validator(min_length = 1, max_length = 255))]
    pub sku: Option<String>,
    /// A value for each of the product's options.
    pub options: Option<BTreeMap<String, String>>,
    pub price: Money,
    pub compare_at_price: Option<Money>,
    /// Units on hand, 0 by default.
    #[oai(validator(minimum(value = "0")))]
    pub stock: Option<i64>,
    /// Whether the variant is on sale, `true` by default.
    pub active: Option<bool>,
    /// Whether units are counted. A variant that is not counted, such as a service or a download, is always
    /// available, and nothing is reserved of it. `true` by default.
    pub track_inventory: Option<bool>,
    /// What a unit weighs, in grams.
    #[oai(validator(minimum(value = "0"), maximum(value = "100000000")))]
    pub weight_grams: Option<i32>,
    /// Whether it is sent in a parcel. `true` by default.
    pub requires_shipping: Option<bool>,
    /// Whether tax is due on it. `true` by default.
    pub taxable: Option<bool>,
    /// The number that a scanner reads, such as a GTIN, an ISBN or a UPC.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub barcode: Option<String>,
    /// The URL of the product's image that shows this variant.
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub image_url: Option<String>,
    /// What a unit costs the merchant. Only staff see it.
    pub cost: Option<Money>,
    /// Whether the merchant wants to sell beyond the count. The wish is kept, and only staff see it. Nothing
    /// is sold beyond the count. `false` by default.
    pub continue_selling: Option<bool>,
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateVariantRequest {
    /// Null removes it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub sku: MaybeUndefined<String>,
    pub options: Option<BTreeMap<String, String>>,
    pub price: Option<Money>,
    /// Null removes it.
    pub compare_at_price: MaybeUndefined<Money>,
    pub active: Option<bool>,
    /// Whether units are counted. A variant that is not counted, such as a service or a download, is always
    /// available, and nothing is reserved of it.
    pub track_inventory: Option<bool>,
    /// What a unit weighs, in grams. Null removes it.
    #[oai(validator(minimum(value = "0"), maximum(value = "100000000")))]
    pub weight_grams: MaybeUndefined<i32>,
    /// Whether it is sent in a parcel.
    pub requires_shipping: Option<bool>,
    /// Whether tax is due on it.
    pub taxable: Option<bool>,
    /// The number that a scanner reads, such as a GTIN, an ISBN or a UPC. Null removes it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub barcode: MaybeUndefined<String>,
    /// The URL of the product's image that shows this variant. Null removes it.
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub image_url: MaybeUndefined<String>,
    /// What a unit costs the merchant. Only staff see it. Null removes it.
    pub cost: MaybeUndefined<Money>,
    /// Whether the merchant wants to sell beyond the count. The wish is kept, and only staff see it. Nothing
    /// is sold beyond the count.
    pub continue_selling: Option<bool>,
}

/// The options whose combinations become variants.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CreateVariantMatrixRequest {
    /// At most three options and a hundred combinations.
    #[oai(validator(min_items = 1, max_items = 3))]
    pub options: Vec<VariantOption>,
    /// The price of each new variant.
    pub price: Money,
}

/// An option and its values.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct VariantOption {
    #[oai(validator(min_length = 1, max_length = 255))]
    pub name: String,
    #[oai(validator(min_items = 1, max_items = 2048))]
    pub values: Vec<String>,
}

impl CreateVariantRequest {
    /// The variant to create. `at` is its place in the body.
    pub fn variant(&self, at: &str) -> Result<NewVariant, Problem> {
        Ok(NewVariant {
            sku: self.sku.clone(),
            options: self.options.clone().unwrap_or_default(),
            price: self.price.checked(&format!("{at}/price"))?,
            compare_at_price: checked(self.compare_at_price.as_ref(), &format!("{at}/compare_at_price"))?,
            active: self.active.unwrap_or(true),
            details: VariantDetails {
                track_inventory: self.track_inventory.unwrap_or(true),
                weight_grams: self.weight_grams,
                requires_shipping: self.requires_shipping.unwrap_or(true),
                taxable: self.taxable.unwrap_or(true),
                barcode: self.barcode.clone(),
                image_url: self.image_url.clone(),
            },
            staff: StaffDetails {
                cost: checked(self.cost.as_ref(), &format!("{at}/cost"))?,
                continue_selling: self.continue_selling.unwrap_or(false),
            },
        })
    }
}

impl UpdateVariantRequest {
    pub fn patch(&self) -> Result<VariantPatch, Problem> {
        Ok(VariantPatch {
            sku: nullable(&self.sku),
            options: self.options.clone(),
            price: checked(self.price.as_ref(), "/price")?,
            compare_at_price: checked_nullable(&self.compare_at_price, "/compare_at_price")?,
            active: self.active,
            track_inventory: self.track_inventory,
            weight_grams: nullable(&self.weight_grams),
            requires_shipping: self.requires_shipping,
            taxable: self.taxable,
            barcode: nullable(&self.barcode),
            image_url: nullable(&self.image_url),
            cost: checked_nullable(&self.cost, "/cost")?,
            continue_selling: self.continue_selling,
        })
    }
}

impl CreateVariantMatrixRequest {
    pub fn matrix(&self) -> Result<(Vec<OptionValues>, money::Money), Problem> {
        let options = self
            .options
            .iter()
            .map(|option| OptionValues { name: option.name.clone(), values: option.values.clone() });
        Ok((options.collect(), self.price.checked("/price")?))
    }
}

pub(super) fn nullable<T: Clone>(field: &MaybeUndefined<T>) -> Option<Option<T>> {
    field.clone().into()
}

pub(super) fn checked(price: Option<&Money>, pointer: &str) -> Result<Option<money::Money>, Problem> {
    price.map(|price| price.checked(pointer)).transpose()
}

pub(super) fn checked_nullable(
    price: &MaybeUndefined<Money>,
    pointer: &str,
) -> Result<Option<Option<money::Money>>, Problem> {
    let price = nullable(price);
    price.map(|price| checked(price.as_ref(), pointer)).transpose()
}

impl Example for CreateVariantRequest {
    fn example() -> Self {
        Self {
            sku: Some("SOCK-CREW-L".to_owned()),
            options: Some(BTreeMap::from([("Size".to_owned(), "L".to_owned())])),
            price: Money::example(),
            compare_at_price: None,
            stock: Some(5),
            active: None,
            track_inventory: None,
            weight_grams: Some(90),
            requires_shipping: None,
            taxable: None,
            barcode: Some("4006381333931".to_owned()),
            image_url: None,
            cost: Some(Money { amount: 450, ..Money::example() }),
            continue_selling: None,
        }
    }
}

impl Example for UpdateVariantRequest {
    fn example() -> Self {
        Self {
            sku: MaybeUndefined::Undefined,
            options: None,
            price: Some(Money::example()),
            compare_at_price: MaybeUndefined::Undefined,
            active: None,
            track_inventory: None,
            weight_grams: MaybeUndefined::Value(90),
            requires_shipping: None,
            taxable: None,
            barcode: MaybeUndefined::Undefined,
            image_url: MaybeUndefined::Undefined,
            cost: MaybeUndefined::Undefined,
            continue_selling: None,
        }
    }
}

impl Example for CreateVariantMatrixRequest {
    fn example() -> Self {
        let option = |name: &str, values: &[&str]| VariantOption {
            name: name.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        Self {
            options: vec![option("Size", &["S", "M", "L"]), option("Color", &["Blue", "Red"])],
            price: Money::example(),
        }
    }
}
