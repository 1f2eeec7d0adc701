//! Leaves out the lesser values of a product that cannot be imported, so that they do not cost the product.

use std::collections::HashSet;

use super::ImportedProduct;
use super::findings::{Findings, WarningKind};
use crate::catalog::{ProductRefusal, limits};
use crate::error::FieldError;
use crate::money::Currency;

/// Checks a product, leaves out lesser values that are wrong, and returns the errors that remain.
pub(super) fn mend(
    product: &mut ImportedProduct,
    currency: Currency,
    found: &mut Findings,
) -> Vec<FieldError> {
    cut_alternative_texts(product, found);
    drop_missing_images(product);
    mend_categories(product, found);
    let errors = match product.check(currency) {
        Ok(()) => return Vec::new(),
        Err(ProductRefusal::Invalid(errors)) => errors,
        Err(refusal) => {
            return vec![FieldError { pointer: String::new(), message: refusal.to_string() }];
        }
    };
    let mut remaining = Vec::new();
    let mut wrong_images = Vec::new();
    for error in errors {
        let place = product.places.error(&error.pointer, error.message.clone());
        let parts: Vec<&str> = error.pointer.split('/').skip(1).collect();
        let index = |text: &str| text.parse::<usize>().ok();
        match parts.as_slice() {
            ["description"] => {
                product.description = None;
                found.warn(WarningKind::UnusableDescription, place);
            }
            ["attributes"] => {
                found.warn(WarningKind::UnusableAttributes, place);
                shorten_attributes(product);
            }
            ["images", at, _] => {
                wrong_images.extend(index(at));
                found.warn(WarningKind::UnusableImage, place);
            }
            ["variants", at, "compare_at_price", ..] => {
                if let Some(variant) = index(at).and_then(|at| product.variants.get_mut(at)) {
                    variant.variant.compare_at_price = None;
                    variant.has_compare_at_column = false;
                }
                found.warn(WarningKind::UnreadableCompareAtPrice, place);
            }
            ["variants", at, "sku"] if is_too_long(product, index(at)) => {
                if let Some(variant) = index(at).and_then(|at| product.variants.get_mut(at)) {
                    variant.variant.sku = None;
                }
                found.warn(WarningKind::UnusableSku, place);
            }
            _ => remaining.push(error),
        }
    }
    wrong_images.sort_unstable();
    wrong_images.dedup();
    for at in wrong_images.into_iter().rev() {
        product.images.remove(at);
        product.places.image_lines.remove(at);
    }
    drop_missing_images(product);
    remaining
}

/// A variant whose image is left out has none. The warning is that of the image.
fn drop_missing_images(product: &mut ImportedProduct) {
    let images: HashSet<&str> = product.images.iter().map(|image| image.url.as_str()).collect();
    for row in &mut product.variants {
        if row.variant.details.image_url.as_deref().is_some_and(|url| !images.contains(url)) {
            row.variant.details.image_url = None;
            row.details.image_url = None;
        }
    }
}

fn is_too_long(product: &ImportedProduct, at: Option<usize>) -> bool {
    let sku = at.and_then(|at| product.variants.get(at)?.variant.sku.as_ref());
    sku.is_some_and(|sku| sku.chars().count() > limits::SKU_CHARS_MAX)
}

fn cut_alternative_texts(product: &mut ImportedProduct, found: &mut Findings) {
    for (at, image) in product.images.iter_mut().enumerate() {
        let length = image.alt.chars().count();
        if length > limits::IMAGE_ALT_CHARS_MAX {
            image.alt = image.alt.chars().take(limits::IMAGE_ALT_CHARS_MAX).collect();
            let max = limits::IMAGE_ALT_CHARS_MAX;
            let message = format!("only the first {max} of {length} characters are imported");
            let place = product.places.error(&format!("/images/{at}/alt"), message);
            found.warn(WarningKind::CutAlternativeText, place);
        }
    }
}

fn mend_categories(product: &mut ImportedProduct, found: &mut Findings) {
    let places = &product.places;
    let mut left_out = |message: String| {
        found.warn(WarningKind::UnusableCategories, places.error("/category_ids", message));
    };
    product.categories.retain(|name| {
        let fault = name.fault();
        if let Some(fault) = fault {
            left_out(format!("{name:.60} {fault}"));
        }
        fault.is_none()
    });
    let (max, total) = (limits::CATEGORIES_PER_PRODUCT_MAX, product.categories.len());
    if total > max {
        product.categories.truncate(max);
        left_out(format!("only the first {max} of {total} categories are imported"));
    }
}

/// Leaves out the longest attributes until the others fit.
fn shorten_attributes(product: &mut ImportedProduct) {
    let length = |value: &serde_json::Value| value.to_string().len();
    while serde_json::to_vec(&product.attributes).is_ok_and(|json| json.len() > limits::ATTRIBUTES_BYTES_MAX)
    {
        let longest = product.attributes.iter().max_by_key(|(_, value)| length(value));
        let Some(name) = longest.map(|(name, _)| name.clone()) else { break };
        product.attributes.remove(&name);
    }
}
