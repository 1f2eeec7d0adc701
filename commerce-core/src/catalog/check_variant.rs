//! Checks what a variant carries.

use super::product::NewVariant;
use super::variant_details::VariantDetails;
use super::{check_product, limits};
use crate::error::FieldErrors;
use crate::money::Money;
use crate::text::single_line;

/// Checks what a new variant carries. `images` are the URLs of its product's images.
pub(super) fn check<'a>(
    errors: &mut FieldErrors,
    at: &str,
    variant: &NewVariant,
    mut images: impl Iterator<Item = &'a str>,
) {
    let VariantDetails { weight_grams, barcode, image_url, .. } = &variant.details;
    check_values(errors, at, *weight_grams, barcode.as_deref(), variant.staff.cost);
    if image_url.as_deref().is_some_and(|url| images.all(|image| image != url)) {
        errors.push(format!("{at}/image_url"), NO_SUCH_IMAGE);
    }
}

/// The error about an image of a variant that its product does not have.
pub(super) const NO_SUCH_IMAGE: &str = "is not the URL of one of the product's images";

pub(super) fn check_values(
    errors: &mut FieldErrors,
    at: &str,
    weight_grams: Option<i32>,
    barcode: Option<&str>,
    cost: Option<Money>,
) {
    let max = limits::WEIGHT_GRAMS_MAX;
    if weight_grams.is_some_and(|grams| !(0..=max).contains(&grams)) {
        errors.push(format!("{at}/weight_grams"), format!("must be between 0 and {max} grams"));
    }
    if let Some(barcode) = barcode {
        errors.check_text(&format!("{at}/barcode"), &single_line(barcode), 1..=limits::BARCODE_CHARS_MAX);
    }
    if let Some(cost) = cost {
        check_product::price(errors, &format!("{at}/cost"), cost);
    }
}
