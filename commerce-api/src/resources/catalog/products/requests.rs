//! The requests that create and change products.

use std::collections::BTreeMap;

use commerce_core::catalog::{
    Attributes, NewImage, NewProduct, NewVariant, ProductPatch, ProductRefusal, ProductStatus as Status,
    StaffDetails, VariantDetails, VariantPatch,
};
use commerce_core::flows::{CreateProduct, CreateProductError};
use commerce_core::ids::CategoryId;
use poem_openapi::Object;
use poem_openapi::types::{Any, Example, MaybeUndefined};
use uuid::Uuid;

use super::shapes::ProductStatus;
use super::variant_requests::{CreateVariantRequest, checked, checked_nullable, nullable};
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
