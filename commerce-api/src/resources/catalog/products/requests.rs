//! The requests that create and change products.

use std::collections::BTreeMap;

use commerce_core::catalog::{
    Attributes, NewImage, NewProduct, NewVariant, OptionValues, ProductPatch, ProductRefusal,
    ProductStatus as Status, StaffDetails, VariantDetails, VariantPatch,
};
use commerce_core::flows::{CreateProduct, CreateProductError};
use commerce_core::ids::CategoryId;
use commerce_core::money;
use poem_openapi::Object;
use poem_openapi::types::{Any, Example, MaybeUndefined};
use uuid::Uuid;

use super::shapes::ProductStatus;
use crate::http::money::Money;
use crate::http::problem::{Fault, Problem};

type FreeFacts = BTreeMap<String, Any<serde_json::Value>>;

/// A product to create.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CreateProductRequest {
    #[oai(validator(min_length = 1, max_length = 255))]
    pub title: String,
    /// Derived from the title by default.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub slug: Option<String>,
    /// HTML. Active content, such as scripts, is removed.
    #[oai(validator(max_length = 65536))]
    pub description: Option<String>,
    /// `active` by default.
    pub status: Option<ProductStatus>,
    #[oai(validator(max_items = 20))]
    pub category_ids: Option<Vec<Uuid>>,
    /// Who makes or supplies it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub vendor: Option<String>,
    /// Words that the merchant sorts it by, without commas. A repeated one counts once.
    #[oai(validator(max_items = 250))]
    pub tags: Option<Vec<String>>,
    pub attributes: Option<FreeFacts>,
    /// The names of the options in display order. Alphabetical by default.
    #[oai(validator(max_items = 3))]
    pub option_names: Option<Vec<String>>,
    #[oai(validator(max_items = 250))]
    pub images: Option<Vec<ImageLink>>,
    /// The price of the only variant of a simple product.
    pub price: Option<Money>,
    pub compare_at_price: Option<Money>,
    #[oai(validator(min_length = 1, max_length = 255))]
    pub sku: Option<String>,
    /// Units on hand of the only variant.
    #[oai(validator(minimum(value = "0")))]
    pub stock: Option<i64>,
    /// Give either `variants`, or `price`, `sku` and `stock`. A product without options may have one variant
    /// here, with everything that a variant carries.
    #[oai(validator(max_items = 2048))]
    pub variants: Option<Vec<CreateVariantRequest>>,
}

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

/// An image to link. It is not downloaded.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct ImageLink {
    /// Begins with `https://`, `http://` or a single `/`.
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub url: String,
    /// Alternative text: what the image shows.
    #[oai(validator(max_length = 512))]
    pub alt: Option<String>,
}

/// The new state of a product. Fields that are left out become empty, unless their description says
/// otherwise.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct ReplaceProductRequest {
    #[oai(validator(min_length = 1, max_length = 255))]
    pub title: String,
    /// Keeps its value by default.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub slug: Option<String>,
    /// HTML. Active content, such as scripts, is removed.
    #[oai(validator(max_length = 65536))]
    pub description: Option<String>,
    /// Keeps its value by default.
    pub status: Option<ProductStatus>,
    #[oai(validator(max_items = 20))]
    pub category_ids: Option<Vec<Uuid>>,
    /// Who makes or supplies it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub vendor: Option<String>,
    /// Words that the merchant sorts it by, without commas. A repeated one counts once.
    #[oai(validator(max_items = 250))]
    pub tags: Option<Vec<String>>,
    pub attributes: Option<FreeFacts>,
    /// The same names in another order. They keep their order by default.
    #[oai(validator(max_items = 3))]
    pub option_names: Option<Vec<String>>,
    #[oai(validator(max_items = 250))]
    pub images: Option<Vec<ImageLink>>,
    /// Keeps its value by default. Only for a product with one variant.
    pub price: Option<Money>,
    /// Keeps its value by default. Null removes it.
    pub compare_at_price: MaybeUndefined<Money>,
    /// Keeps its value by default. Null removes it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub sku: MaybeUndefined<String>,
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateProductRequest {
    #[oai(validator(min_length = 1, max_length = 255))]
    pub title: Option<String>,
    #[oai(validator(min_length = 1, max_length = 255))]
    pub slug: Option<String>,
    /// HTML. Active content, such as scripts, is removed.
    #[oai(validator(max_length = 65536))]
    pub description: Option<String>,
    pub status: Option<ProductStatus>,
    #[oai(validator(max_items = 20))]
    pub category_ids: Option<Vec<Uuid>>,
    /// Who makes or supplies it. Null removes it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub vendor: MaybeUndefined<String>,
    /// Words that the merchant sorts it by, without commas. A repeated one counts once. Those that are left out are removed.
    #[oai(validator(max_items = 250))]
    pub tags: Option<Vec<String>>,
    /// All attributes. Those that are left out are removed.
    pub attributes: Option<FreeFacts>,
    /// The same names in another order.
    #[oai(validator(max_items = 3))]
    pub option_names: Option<Vec<String>>,
    /// All images. Those that are left out are unlinked.
    #[oai(validator(max_items = 250))]
    pub images: Option<Vec<ImageLink>>,
    /// Only for a product with one variant.
    pub price: Option<Money>,
    /// Only for a product with one variant. Null removes it.
    pub compare_at_price: MaybeUndefined<Money>,
    /// Only for a product with one variant. Null removes it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub sku: MaybeUndefined<String>,
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

impl CreateVariantMatrixRequest {
    pub fn matrix(&self) -> Result<(Vec<OptionValues>, money::Money), Problem> {
        let options = self
            .options
            .iter()
            .map(|option| OptionValues { name: option.name.clone(), values: option.values.clone() });
        Ok((options.collect(), self.price.checked("/price")?))
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

/// How the request describes the variants. It decides which field an error points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With `price`, `sku` and `stock` of the product itself.
    Simple,
    WithVariants,
}

impl Form {
    /// Makes the error point at the field of the body as it was sent.
    pub fn point(self, mut error: CreateProductError) -> CreateProductError {
        let to_body = |pointer: &mut String| {
            if let (Self::Simple, Some(rest)) = (self, pointer.strip_prefix("/variants/0")) {
                *pointer = rest.to_owned();
            }
        };
        match &mut error {
            CreateProductError::Refused(ProductRefusal::Invalid(errors)) => {
                errors.iter_mut().for_each(|error| to_body(&mut error.pointer));
            }
            CreateProductError::Refused(ProductRefusal::CurrencyMismatch { pointer, .. }) => to_body(pointer),
            _ => {}
        }
        error
    }
}

impl CreateProductRequest {
    pub fn command(&self) -> Result<(CreateProduct, Form), Problem> {
        let (variants, stock, form) = self.variants_and_stock()?;
        let product = NewProduct {
            slug: self.slug.clone(),
            title: self.title.clone(),
            description: self.description.clone().unwrap_or_default(),
            status: self.status.map_or(Status::Active, Into::into),
            vendor: self.vendor.clone(),
            tags: self.tags.clone().unwrap_or_default(),
            attributes: facts(self.attributes.as_ref()),
            option_names: self.option_names.clone().unwrap_or_default(),
            category_ids: category_ids(self.category_ids.as_ref()),
            images: images(self.images.as_ref()),
            variants,
        };
        Ok((CreateProduct { product, stock }, form))
    }

    fn variants_and_stock(&self) -> Result<(Vec<NewVariant>, Vec<i64>, Form), Problem> {
        let given = [
            ("/price", self.price.is_some()),
            ("/compare_at_price", self.compare_at_price.is_some()),
            ("/sku", self.sku.is_some()),
            ("/stock", self.stock.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given).map(|(pointer, _)| pointer);
        if let Some(variants) = self.variants.as_ref() {
            let faults: Vec<Fault> =
                given.map(|pointer| Fault::at(pointer, "must be given with each variant instead")).collect();
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let stock = variants.iter().map(|variant| variant.stock.unwrap_or(0)).collect();
            let variants = variants.iter().enumerate().map(|(at, v)| v.variant(&format!("/variants/{at}")));
            return Ok((variants.collect::<Result<_, _>>()?, stock, Form::WithVariants));
        }
        let Some(price) = &self.price else {
            let mut given = given;
            return match given.next() {
                // A product without a variant, to be completed later.
                None => Ok((Vec::new(), Vec::new(), Form::WithVariants)),
                Some(_) => Err(Problem::invalid(vec![Fault::at("/price", "is missing")])),
            };
        };
        let variant = NewVariant {
            sku: self.sku.clone(),
            options: BTreeMap::new(),
            price: price.checked("/price")?,
            compare_at_price: checked(self.compare_at_price.as_ref(), "/compare_at_price")?,
            active: true,
            details: VariantDetails::default(),
            staff: StaffDetails::default(),
        };
        Ok((vec![variant], vec![self.stock.unwrap_or(0)], Form::Simple))
    }
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

impl ReplaceProductRequest {
    pub fn patch(&self) -> Result<ProductPatch, Problem> {
        Ok(ProductPatch {
            slug: self.slug.clone(),
            title: Some(self.title.clone()),
            description: Some(self.description.clone().unwrap_or_default()),
            status: self.status.map(Into::into),
            vendor: Some(self.vendor.clone()),
            tags: Some(self.tags.clone().unwrap_or_default()),
            attributes: Some(facts(self.attributes.as_ref())),
            option_names: self.option_names.clone(),
            category_ids: Some(category_ids(self.category_ids.as_ref())),
            images: Some(images(self.images.as_ref())),
            only_variant: only_variant(self.price.as_ref(), &self.compare_at_price, &self.sku)?,
        })
    }
}

impl UpdateProductRequest {
    pub fn patch(&self) -> Result<ProductPatch, Problem> {
        Ok(ProductPatch {
            slug: self.slug.clone(),
            title: self.title.clone(),
            description: self.description.clone(),
            status: self.status.map(Into::into),
            vendor: nullable(&self.vendor),
            tags: self.tags.clone(),
            attributes: self.attributes.as_ref().map(|attributes| facts(Some(attributes))),
            option_names: self.option_names.clone(),
            category_ids: self.category_ids.as_ref().map(|ids| category_ids(Some(ids))),
            images: self.images.as_ref().map(|links| images(Some(links))),
            only_variant: only_variant(self.price.as_ref(), &self.compare_at_price, &self.sku)?,
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

/// The fields of a product that belong to its only variant.
fn only_variant(
    price: Option<&Money>,
    compare_at_price: &MaybeUndefined<Money>,
    sku: &MaybeUndefined<String>,
) -> Result<Option<VariantPatch>, Problem> {
    let patch = VariantPatch {
        sku: nullable(sku),
        price: checked(price, "/price")?,
        compare_at_price: checked_nullable(compare_at_price, "/compare_at_price")?,
        ..VariantPatch::default()
    };
    Ok(Some(patch).filter(|patch| !patch.is_empty()))
}

fn nullable<T: Clone>(field: &MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value.clone())),
    }
}

fn checked(price: Option<&Money>, pointer: &str) -> Result<Option<money::Money>, Problem> {
    price.map(|price| price.checked(pointer)).transpose()
}

fn checked_nullable(
    price: &MaybeUndefined<Money>,
    pointer: &str,
) -> Result<Option<Option<money::Money>>, Problem> {
    let price = nullable(price);
    price.map(|price| checked(price.as_ref(), pointer)).transpose()
}

fn facts(attributes: Option<&FreeFacts>) -> Attributes {
    let facts = attributes.into_iter().flatten();
    facts.map(|(key, Any(value))| (key.clone(), value.clone())).collect()
}

fn category_ids(ids: Option<&Vec<Uuid>>) -> Vec<CategoryId> {
    ids.into_iter().flatten().map(|id| CategoryId(*id)).collect()
}

fn images(links: Option<&Vec<ImageLink>>) -> Vec<NewImage> {
    let links = links.into_iter().flatten();
    links.map(|link| NewImage { url: link.url.clone(), alt: link.alt.clone().unwrap_or_default() }).collect()
}

impl Example for CreateProductRequest {
    fn example() -> Self {
        Self {
            title: "Stoneware Mug".to_owned(),
            slug: None,
            description: Some("<p>Holds 350 ml, and the warmth.</p>".to_owned()),
            status: Some(ProductStatus::Active),
            category_ids: None,
            vendor: Some("Dunmore Pottery".to_owned()),
            tags: Some(vec!["kitchen".to_owned(), "gift".to_owned()]),
            attributes: Some(BTreeMap::from([("material".to_owned(), Any("stoneware".into()))])),
            option_names: None,
            images: None,
            price: Some(Money::example()),
            compare_at_price: None,
            sku: Some("MUG-350".to_owned()),
            stock: Some(20),
            variants: None,
        }
    }
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

impl Example for ReplaceProductRequest {
    fn example() -> Self {
        Self {
            title: "Stoneware Mug".to_owned(),
            slug: None,
            description: Some("<p>Holds 350 ml.</p>".to_owned()),
            status: None,
            category_ids: None,
            vendor: Some("Dunmore Pottery".to_owned()),
            tags: None,
            attributes: None,
            option_names: None,
            images: None,
            price: None,
            compare_at_price: MaybeUndefined::Undefined,
            sku: MaybeUndefined::Undefined,
        }
    }
}

impl Example for UpdateProductRequest {
    fn example() -> Self {
        Self {
            title: None,
            slug: None,
            description: None,
            status: Some(ProductStatus::Archived),
            category_ids: None,
            vendor: MaybeUndefined::Undefined,
            tags: None,
            attributes: None,
            option_names: None,
            images: None,
            price: None,
            compare_at_price: MaybeUndefined::Undefined,
            sku: MaybeUndefined::Undefined,
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
