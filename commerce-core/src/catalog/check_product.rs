//! Checks a product before anything is written, and names every invalid value.

use std::collections::BTreeSet;

use serde_json::Value;

use super::image::{FileKey, MEDIA_PATH};
use super::product::{Attributes, Image, NewImage, NewVariant, Options};
use super::refusal::ProductRefusal;
use super::{description, limits, slugs};
use crate::error::FieldErrors;
use crate::ids::CategoryId;
use crate::money::{Currency, Money};
use crate::text::single_line;

/// Ends a check with a refusal if there are errors.
pub(super) fn finish(errors: FieldErrors) -> Result<(), ProductRefusal> {
    if errors.is_empty() { Ok(()) } else { Err(ProductRefusal::Invalid(errors.into_vec())) }
}

pub(super) fn title(errors: &mut FieldErrors, title: &str) {
    errors.check_text("/title", &single_line(title), 1..=limits::TITLE_CHARS_MAX);
}

pub(super) fn slug(errors: &mut FieldErrors, slug: &str) {
    if !slugs::is_slug(slug, limits::PRODUCT_SLUG_CHARS_MAX) {
        errors.push("/slug", "must be lower-case letters and digits in words joined by hyphens");
    } else if slugs::is_reserved(slug, slugs::RESERVED_FOR_PRODUCTS) {
        errors.push("/slug", "is reserved; choose another");
    }
}

pub(super) fn description(errors: &mut FieldErrors, html: &str) {
    description::check(errors, "/description", html, limits::DESCRIPTION_BYTES_MAX);
}

pub(super) fn attributes(errors: &mut FieldErrors, attributes: &Attributes) {
    let bytes = serde_json::to_vec(attributes).map_or(usize::MAX, |json| json.len());
    if bytes > limits::ATTRIBUTES_BYTES_MAX {
        let max = limits::ATTRIBUTES_BYTES_MAX;
        errors.push("/attributes", format!("has {bytes} bytes as JSON; at most {max} are allowed"));
    } else if attributes.iter().any(|(key, value)| key.contains('\0') || has_nul(value)) {
        errors.push("/attributes", "must not contain the character NUL");
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

pub(super) fn vendor(errors: &mut FieldErrors, vendor: &str) {
    errors.check_text("/vendor", &single_line(vendor), 1..=limits::VENDOR_CHARS_MAX);
}

/// Checks tags. A comma separates them in files.
pub(super) fn tags(errors: &mut FieldErrors, tags: &[String]) {
    let max = limits::TAGS_PER_PRODUCT_MAX;
    if tags.len() > max {
        errors.push("/tags", format!("a product can have at most {max} tags"));
        return;
    }
    for (index, tag) in tags.iter().enumerate() {
        let pointer = format!("/tags/{index}");
        errors.check_text(&pointer, &single_line(tag), 1..=limits::TAG_CHARS_MAX);
        if tag.contains(',') {
            errors.push(pointer, "must not contain a comma");
        }
    }
}

pub(super) fn category_ids(errors: &mut FieldErrors, ids: &[CategoryId]) {
    let max = limits::CATEGORIES_PER_PRODUCT_MAX;
    if ids.len() > max {
        errors.push("/category_ids", format!("a product can be in at most {max} categories"));
    }
}

/// Checks the images of a product, which may already have those of `before`.
pub(super) fn images(errors: &mut FieldErrors, images: &[NewImage], before: &[Image]) {
    let max = limits::IMAGES_PER_PRODUCT_MAX;
    if images.len() > max {
        errors.push("/images", format!("a product can have at most {max} images"));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, image) in images.iter().enumerate() {
        if let Some(wrong) = wrong_image_url(&image.url) {
            errors.push(format!("/images/{index}/url"), wrong);
        } else if !seen.insert(image.url.as_str()) {
            errors.push(format!("/images/{index}/url"), "is already linked");
        } else if is_upload(&image.url) && !before.iter().any(|known| known.url == image.url) {
            // Such a link would break when the image that it belongs to is removed.
            let wrong = "is an uploaded image of another product: upload it to this one";
            errors.push(format!("/images/{index}/url"), wrong);
        }
        errors.check_text(&format!("/images/{index}/alt"), &image.alt, 0..=limits::IMAGE_ALT_CHARS_MAX);
    }
}

fn is_upload(url: &str) -> bool {
    url.strip_prefix(MEDIA_PATH).and_then(FileKey::parse).is_some()
}

/// What is wrong with the URL of an image. It must be one that a page may show.
pub(super) fn wrong_image_url(url: &str) -> Option<&'static str> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let is_path = url.starts_with('/') && !url.starts_with("//");
    if url.len() > limits::IMAGE_URL_BYTES_MAX {
        Some("is longer than 2048 bytes")
    } else if !is_web && !is_path {
        Some("must begin with https://, http:// or a single /")
    } else if url.chars().any(|c| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c)) {
        Some("must not contain spaces or characters that no URL has")
    } else {
        None
    }
}

/// Checks the names of options: few, short and distinct.
pub(super) fn option_names(errors: &mut FieldErrors, names: &[String]) {
    let max = limits::OPTIONS_PER_PRODUCT_MAX;
    if names.len() > max {
        errors.push("/option_names", format!("a product can have at most {max} options"));
    }
    for (index, name) in names.iter().enumerate() {
        let pointer = format!("/option_names/{index}");
        errors.check_text(&pointer, &single_line(name), 1..=limits::OPTION_NAME_CHARS_MAX);
        if names.iter().take(index).any(|other| other == name) {
            errors.push(pointer, "is named twice");
        }
    }
}

/// Whether these are the same names in any order.
pub(super) fn are_same_names(some: &[String], others: &[String]) -> bool {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    sorted(some) == sorted(others)
}

/// Checks the variants of a new product, whose option names are known.
pub(super) fn variants(errors: &mut FieldErrors, names: &[String], variants: &[NewVariant]) {
    let max = limits::VARIANTS_PER_PRODUCT_MAX;
    if variants.len() > max {
        errors.push("/variants", format!("a product can have at most {max} variants"));
        return;
    }
    let (mut skus, mut combinations) = (BTreeSet::new(), BTreeSet::new());
    for (index, variant) in variants.iter().enumerate() {
        let at = format!("/variants/{index}");
        self::variant(errors, &at, names, variant);
        if variant.sku.as_ref().is_some_and(|sku| !skus.insert(sku)) {
            errors.push(format!("{at}/sku"), "belongs to another variant of this product");
        }
        if !combinations.insert(&variant.options) {
            errors.push(format!("{at}/options"), "are those of another variant of this product");
        }
    }
}

/// Checks one variant. `at` is its place in the request: `/variants/0`, or empty.
pub(super) fn variant(errors: &mut FieldErrors, at: &str, names: &[String], variant: &NewVariant) {
    if let Some(sku) = &variant.sku {
        self::sku(errors, at, sku);
    }
    options(errors, at, names, &variant.options);
    price(errors, &format!("{at}/price"), variant.price);
    if let Some(compare_at) = variant.compare_at_price {
        price(errors, &format!("{at}/compare_at_price"), compare_at);
    }
}

pub(super) fn sku(errors: &mut FieldErrors, at: &str, sku: &str) {
    errors.check_text(&format!("{at}/sku"), &single_line(sku), 1..=limits::SKU_CHARS_MAX);
}

/// Checks that a variant has one value for each of the product's options, and nothing else.
pub(super) fn options(errors: &mut FieldErrors, at: &str, names: &[String], options: &Options) {
    let pointer = format!("{at}/options");
    let wanted: BTreeSet<&String> = names.iter().collect();
    if !options.keys().eq(wanted.iter().copied()) {
        let message = if names.is_empty() {
            "must be empty: the product has no options".to_owned()
        } else {
            format!("must have a value for exactly these options: {}", names.join(", "))
        };
        errors.push(pointer, message);
        return;
    }
    for (name, value) in options {
        let key = name.replace('~', "~0").replace('/', "~1");
        errors.check_text(
            &format!("{pointer}/{key}"),
            &single_line(value),
            1..=limits::OPTION_VALUE_CHARS_MAX,
        );
    }
}

pub(super) fn price(errors: &mut FieldErrors, pointer: &str, price: Money) {
    if !(0..=limits::PRICE_MINOR_MAX).contains(&price.amount_minor) {
        let max = limits::PRICE_MINOR_MAX;
        errors.push(format!("{pointer}/amount"), format!("must be between 0 and {max} minor units"));
    }
}

/// Checks that every given price is in the shop's currency.
pub(super) fn currency<'a>(
    shop: Currency,
    prices: impl IntoIterator<Item = (String, &'a Money)>,
) -> Result<(), ProductRefusal> {
    match prices.into_iter().find(|(_, price)| price.currency != shop) {
        None => Ok(()),
        Some((pointer, price)) => {
            Err(ProductRefusal::CurrencyMismatch { pointer, given: price.currency, shop })
        }
    }
}

/// The prices of a variant with their places, for [`currency`].
pub(super) fn prices<'a>(at: &str, variant: &'a NewVariant) -> Vec<(String, &'a Money)> {
    let NewVariant { price, compare_at_price, staff, .. } = variant;
    given_prices(at, Some(price), compare_at_price.as_ref(), staff.cost.as_ref())
}

/// Those prices of a variant that are given, with their places, for [`currency`].
pub(super) fn given_prices<'a>(
    at: &str,
    price: Option<&'a Money>,
    compare_at_price: Option<&'a Money>,
    cost: Option<&'a Money>,
) -> Vec<(String, &'a Money)> {
    let fields = [("price", price), ("compare_at_price", compare_at_price), ("cost", cost)];
    let given = fields.into_iter().filter_map(|(field, price)| Some((field, price?)));
    given.map(|(field, price)| (format!("{at}/{field}/currency"), price)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_a_page_may_show_are_images() {
        for url in ["https://a.example/x@2x.jpg?v=1", "http://a/b", "/demo-images/mug.svg"] {
            assert_eq!(wrong_image_url(url), None, "{url}");
        }
        for url in [
            "",
            "javascript:alert(1)",
            "//evil.example/x",
            "data:text/html,x",
            "x.jpg",
            "https://a b",
            "/a\"b",
        ] {
            assert!(wrong_image_url(url).is_some(), "{url}");
        }
    }

    #[test]
    fn nul_is_found_wherever_it_hides() {
        for json in [r#"{"a\u0000":1}"#, r#"{"a":["b",{"c":"\u0000"}]}"#] {
            let mut errors = FieldErrors::default();
            attributes(&mut errors, &serde_json::from_str(json).unwrap());
            assert!(!errors.is_empty(), "{json}");
        }
    }
}
