//! Compares a product of a file with the shop's. A product may have thousands of variants.

use std::collections::{HashMap, HashSet};

use super::{ImportedProduct, ImportedVariant};
use crate::catalog::product::{Image, NewImage, Options, Product, ProductPatch, Variant, variant_title};
use crate::catalog::refusal::ProductRefusal;
use crate::catalog::{check_product, description, limits};
use crate::error::FieldErrors;
use crate::ids::{CategoryId, VariantId};
use crate::text::single_line;

/// The variants that the file refers to: by SKU, and for the others by options.
pub(super) fn match_variants<'a>(
    before: &'a Product,
    imported: &ImportedProduct,
) -> Vec<Option<&'a Variant>> {
    let by_sku: HashMap<&str, &Variant> =
        before.variants.iter().filter_map(|variant| Some((variant.sku.as_deref()?, variant))).collect();
    let with_sku: Vec<Option<&Variant>> =
        imported.variants.iter().map(|row| by_sku.get(row.variant.sku.as_deref()?).copied()).collect();
    let taken: HashSet<VariantId> = with_sku.iter().flatten().map(|variant| variant.id).collect();
    let free = before.variants.iter().filter(|variant| !taken.contains(&variant.id));
    let by_options: HashMap<&Options, &Variant> = free.map(|variant| (&variant.options, variant)).collect();
    let rows = imported.variants.iter().zip(with_sku);
    rows.map(|(row, found)| found.or_else(|| by_options.get(&row.variant.options).copied())).collect()
}

/// A file may reorder the options of a product and add variants, but may not rename the options that variants
/// use. Variants may exchange their options and SKUs, as long as each has its own in the end.
pub(super) fn check_variants(
    before: &Product,
    imported: &ImportedProduct,
    known: &[Option<&Variant>],
) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    if !before.variants.is_empty()
        && !check_product::are_same_names(&before.option_names, &imported.option_names)
    {
        let known =
            if before.option_names.is_empty() { "none".to_owned() } else { before.option_names.join(", ") };
        errors.push("/option_names", format!("the product in the shop has other options: {known}"));
    }
    let new = known.iter().filter(|known| known.is_none()).count();
    if before.variants.len() + new > limits::VARIANTS_PER_PRODUCT_MAX {
        let max = limits::VARIANTS_PER_PRODUCT_MAX;
        errors.push("/variants", format!("with those in the shop the product has more than {max} variants"));
    }
    let in_file: HashSet<VariantId> = known.iter().flatten().map(|variant| variant.id).collect();
    let others = before.variants.iter().filter(|variant| !in_file.contains(&variant.id));
    let others: HashMap<&Options, &Variant> = others.map(|variant| (&variant.options, variant)).collect();
    for (at, row) in imported.variants.iter().enumerate() {
        if let Some(other) = others.get(&row.variant.options) {
            let sku = other.sku.as_ref().map_or(String::new(), |sku| format!(", with the SKU {sku:?}"));
            let message = format!("are those of another variant that the product has in the shop{sku}");
            errors.push(format!("/variants/{at}/options"), message);
        }
    }
    check_product::finish(errors)
}

/// The changes of the file to the product itself.
pub(super) fn product_changes(
    before: &Product,
    imported: &ImportedProduct,
    category_ids: Vec<CategoryId>,
) -> ProductPatch {
    let changed = |new: &str, old: &str| (single_line(new) != old).then(|| new.to_owned());
    let mut attributes = before.attributes.clone();
    attributes.extend(imported.attributes.clone());
    let mut categories = before.category_ids.clone();
    categories.extend(category_ids.into_iter().filter(|id| !before.category_ids.contains(id)));
    let wanted = with_uploads(&imported.images, &before.images);
    let linked = before.images.iter().map(|image| (&image.url, &image.alt));
    let images_differ =
        !imported.images.is_empty() && !linked.eq(wanted.iter().map(|image| (&image.url, &image.alt)));
    ProductPatch {
        slug: None,
        title: changed(&imported.title, &before.title),
        description: imported
            .description
            .as_ref()
            .filter(|html| description::sanitise(html) != before.description)
            .cloned(),
        status: imported.status.filter(|status| *status != before.status),
        vendor: Some(imported.vendor.clone()).filter(|vendor| vendor.is_some() && *vendor != before.vendor),
        tags: Some(&imported.tags).filter(|tags| !tags.is_empty() && **tags != before.tags).cloned(),
        attributes: (attributes != before.attributes).then_some(attributes),
        option_names: (imported.option_names != before.option_names).then(|| imported.option_names.clone()),
        category_ids: (categories != before.category_ids).then_some(categories),
        images: images_differ.then_some(wanted),
        only_variant: None,
    }
}

/// The images of the file, and the uploaded images, which stay in their places because a file can only name
/// links.
fn with_uploads(imported: &[NewImage], before: &[Image]) -> Vec<NewImage> {
    let mut images = imported.to_vec();
    for (place, upload) in before.iter().enumerate().filter(|(_, image)| image.is_uploaded()) {
        if !images.iter().any(|image| image.url == upload.url) {
            let upload = NewImage { url: upload.url.clone(), alt: upload.alt.clone() };
            images.insert(place.min(images.len()), upload);
        }
    }
    images
}

/// The new state of the variants that differ from the file. Titles follow the order of the file's options,
/// also for variants that are not in the file.
pub(super) fn changed_variants(
    before: &Product,
    imported: &ImportedProduct,
    known: &[Option<&Variant>],
) -> Vec<Variant> {
    let rows: HashMap<VariantId, &ImportedVariant> = known
        .iter()
        .zip(&imported.variants)
        .filter_map(|(known, row)| Some((known.as_ref()?.id, row)))
        .collect();
    let wanted = before.variants.iter().map(|variant| {
        let row = rows.get(&variant.id);
        let mut wanted = row.map_or_else(|| variant.clone(), |row| with_row(variant, row));
        wanted.title = variant_title(&imported.option_names, &wanted.options);
        (variant, wanted)
    });
    wanted.filter(|(variant, wanted)| *variant != wanted).map(|(_, wanted)| wanted).collect()
}

fn with_row(known: &Variant, row: &ImportedVariant) -> Variant {
    let new = &row.variant;
    let (mut details, mut staff) = (known.details.clone(), known.staff.clone().unwrap_or_default());
    row.details.apply_to(&mut details, &mut staff);
    Variant {
        sku: new.sku.clone().or_else(|| known.sku.clone()),
        options: new.options.clone(),
        price: new.price,
        compare_at_price: if row.has_compare_at_column {
            new.compare_at_price
        } else {
            known.compare_at_price
        },
        active: if row.has_active_column { new.active } else { known.active },
        details,
        staff: Some(staff),
        ..known.clone()
    }
}
