//! What a variant carries beside its options and its price: how it is counted, sent, taxed and recognised.

use super::product::{NewVariant, VariantPatch};
use super::{check_product, limits};
use crate::error::FieldErrors;
use crate::money::Money;
use crate::text::single_line;

/// What shoppers may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantDetails {
    /// Whether units are counted. A variant that is not counted, such as a service or a download, is always
    /// available, and no units of it are reserved, shipped or taken back in the ledger. Its stock levels may
    /// be adjusted; they count as soon as it is counted again.
    ///
    /// A switch concerns what is ordered afterwards. An order remembers for each line whether its units were
    /// reserved, so an open order keeps its reservations, or goes on without any. A cart's hold lasts until
    /// it lapses. A late payment that restores a cancelled order reserves what is counted by then.
    pub track_inventory: bool,
    /// What a unit weighs, in grams: 0 to [`limits::WEIGHT_GRAMS_MAX`](super::limits::WEIGHT_GRAMS_MAX).
    pub weight_grams: Option<i32>,
    /// Whether it is sent in a parcel.
    pub requires_shipping: bool,
    /// Whether tax is due on it.
    pub taxable: bool,
    /// The number that a scanner reads, such as a GTIN, an ISBN or a UPC.
    pub barcode: Option<String>,
    /// The URL of the image that shows it, which is one of the product's images.
    pub image_url: Option<String>,
}

impl Default for VariantDetails {
    /// A counted variant that is sent and taxed.
    fn default() -> Self {
        Self {
            track_inventory: true,
            weight_grams: None,
            requires_shipping: true,
            taxable: true,
            barcode: None,
            image_url: None,
        }
    }
}

/// What only staff may know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaffDetails {
    /// What a unit costs the merchant, in the currency of the price.
    pub cost: Option<Money>,
    /// Whether the merchant wants to sell beyond the count. The wish is kept for programs that ask for it.
    /// This library sells nothing beyond the count.
    pub continue_selling: bool,
}

impl VariantPatch {
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
