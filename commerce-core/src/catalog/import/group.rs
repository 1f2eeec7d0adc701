//! Turns the rows of a product into the product. They are checked together. What is wrong with a lesser value
//! costs that value, and every other wrong place is named.

use std::collections::BTreeSet;

use super::findings::{Findings, LineError, WarningKind};
use super::line::{Head, Line, LineImage, LineVariant};
use super::mend::mend;
use super::woocommerce_cells::settle_options;
use super::{Columns, ImportedProduct, Layout, Places};
use crate::catalog::insert_product;
use crate::catalog::product::{NewProduct, ProductStatus};
use crate::catalog::{CategoryName, ProductRefusal, limits, slugs};
use crate::money::Currency;
use crate::text::single_line;

/// The rows of a product, as far as they were read.
pub(super) struct Group {
    pub key: String,
    layout: Layout,
    first_line: u64,
    head: Option<Head>,
    variants: Vec<(u64, LineVariant)>,
    images: Vec<(u64, LineImage)>,
    /// Images beyond the limit.
    further_images: usize,
    gift_card: Option<LineError>,
    /// The names of the options in the order of the columns, possibly with gaps. `None` if the first row is
    /// broken.
    pub option_names: Option<Vec<String>>,
    /// The places of the errors that are already reported.
    faults: Vec<(u64, String)>,
}

impl Group {
    pub fn new(key: &str, layout: Layout, first_line: u64, option_names: Option<Vec<String>>) -> Self {
        Self {
            key: key.to_owned(),
            layout,
            first_line,
            head: None,
            variants: Vec::new(),
            images: Vec::new(),
            further_images: 0,
            gift_card: None,
            option_names,
            faults: Vec::new(),
        }
    }

    /// Remembers an error, so that what follows from it is not reported.
    pub fn mark_faulty(&mut self, error: &LineError) {
        // One is enough for a product of endless wrong lines.
        if self.faults.len() < limits::VARIANTS_PER_PRODUCT_MAX {
            self.faults.push((error.line, error.column.clone()));
        }
    }

    pub fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    pub fn add(&mut self, number: u64, line: Line) {
        if self.head.is_none() {
            self.head = line.head;
        }
        if self.gift_card.is_none() {
            self.gift_card = line.gift_card;
        }
        if let Some(variant) = line.variant {
            // One variant too many is enough to refuse the product. A file with one endless product must not
            // fill the memory.
            if self.variants.len() <= limits::VARIANTS_PER_PRODUCT_MAX {
                self.variants.push((number, variant));
            }
        }
        for mut image in line.images {
            insert_product::normalise_image(&mut image.image);
            if self.images.iter().any(|(_, known)| known.image.url == image.image.url) {
                continue;
            }
            if self.images.len() < limits::IMAGES_PER_PRODUCT_MAX {
                self.images.push((number, image));
            } else {
                self.further_images += 1;
            }
        }
    }

    /// The product of these rows. What is wrong is in `found`.
    pub fn into_product(
        mut self,
        columns: &Columns,
        currency: Currency,
        found: &mut Findings,
    ) -> Option<ImportedProduct> {
        if let Some(place) = self.gift_card {
            found.warn(WarningKind::GiftCard, place);
            return None;
        }
        // Images with a position come first, sorted by position.
        self.images.sort_by_key(|(_, image)| image.position.unwrap_or(i64::MAX));
        if self.layout == Layout::WooCommerce {
            settle_options(self.head.as_mut(), &mut self.variants, found);
        }
        if self.layout != Layout::Native {
            self.drop_repeated_options(&columns.options, found);
        }
        let places = Places {
            columns: columns.clone(),
            product_line: self.first_line,
            variant_lines: self.variants.iter().map(|(line, _)| *line).collect(),
            image_lines: self.images.iter().map(|(line, _)| *line).collect(),
        };
        let is_faulty = self.is_faulty();
        let Some(head) = self.head else {
            // A broken first row was already reported.
            if !is_faulty {
                found.errors.push(places.error("/title", "is empty on the first line of the product"));
            }
            return None;
        };
        // Of a product without a price there is no variant left.
        if self.layout == Layout::WooCommerce && self.variants.is_empty() && !is_faulty {
            let message = format!("{:?} has no variant with a price", head.title);
            found.warn(WarningKind::NoPrice, places.error("/title", message));
            return None;
        }
        let length = self.key.chars().count();
        if length > limits::PRODUCT_SLUG_CHARS_MAX {
            let message =
                format!("has {length} characters; at most {} are allowed", limits::PRODUCT_SLUG_CHARS_MAX);
            found.errors.push(places.error("/slug", message));
        }
        if self.further_images > 0 {
            let (max, total) =
                (limits::IMAGES_PER_PRODUCT_MAX, limits::IMAGES_PER_PRODUCT_MAX + self.further_images);
            let message = format!("only the first {max} of {total} images are imported");
            found.warn(WarningKind::UnusableImage, places.error("/images", message));
        }
        let is_slug_given = is_slug_given(&self.key, self.layout);
        let slug =
            if is_slug_given { self.key.clone() } else { made_slug(&self.key, &head.title, self.layout) };
        let option_names: Vec<String> = self.variants.first().map_or_else(Vec::new, |(_, first)| {
            first.options.iter().map(|(name, _)| single_line(name)).collect()
        });
        let mut product = ImportedProduct {
            key: self.key,
            slug,
            is_slug_given,
            title: head.title,
            description: head.description,
            status: head.status,
            hidden: head.hidden,
            vendor: head.vendor.as_deref().map(single_line),
            tags: head.tags,
            attributes: head.attributes,
            categories: head.categories.into_iter().map(CategoryName::normalised).collect(),
            option_names,
            images: self.images.into_iter().map(|(_, image)| image.image).collect(),
            variants: self.variants.into_iter().map(|(_, variant)| variant.into_imported()).collect(),
            places,
        };
        let errors = mend(&mut product, currency, found);
        let is_new = |error: &LineError| {
            !self.faults.iter().any(|(line, column)| *line == error.line && *column == error.column)
        };
        for error in errors {
            // With a row missing, names and combinations of options are not what they are in the file.
            let follows = is_faulty && concerns_options(&error.pointer);
            let error = product.places.error(&error.pointer, error.message);
            if !follows && is_new(&error) {
                found.errors.push(error);
            }
        }
        (found.errors.is_empty() && !is_faulty).then_some(product)
    }

    /// Leaves out variants with the options of an earlier one.
    fn drop_repeated_options(&mut self, column: &str, found: &mut Findings) {
        let mut seen = BTreeSet::new();
        self.variants.retain(|(line, variant)| {
            let is_new = seen.insert(variant.options.clone());
            if !is_new {
                let values: Vec<&str> = variant.options.iter().map(|(_, value)| value.as_str()).collect();
                let message = match values.as_slice() {
                    [] => "is a second variant without options".to_owned(),
                    values => format!("{:?} are the options of an earlier variant", values.join(" / ")),
                };
                let place = LineError { line: *line, column: column.to_owned(), message };
                found.warn(WarningKind::RepeatedOptions, place);
            }
            is_new
        });
    }
}

fn concerns_options(pointer: &str) -> bool {
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    matches!(parts.as_slice(), ["option_names"] | ["variants"] | ["variants", _, "options"])
}

/// Whether the source's key is the slug that the product should have.
fn is_slug_given(key: &str, layout: Layout) -> bool {
    let is_slug = slugs::is_slug(key, limits::PRODUCT_SLUG_CHARS_MAX);
    match layout {
        // A reserved slug is refused when the product is created. It may exist since before it was reserved.
        Layout::Native => is_slug,
        // An ID says nothing to a reader.
        Layout::WooCommerce => false,
        Layout::Shopify => is_slug && !slugs::is_reserved(key, slugs::RESERVED_FOR_PRODUCTS),
    }
}

fn made_slug(key: &str, title: &str, layout: Layout) -> String {
    let made = |text: &str, fallback: &str| {
        slugs::from_title(text, fallback, limits::PRODUCT_SLUG_CHARS_MAX, slugs::RESERVED_FOR_PRODUCTS)
    };
    let of_title = made(title, "product");
    if layout == Layout::WooCommerce { of_title } else { made(key, &of_title) }
}

impl ImportedProduct {
    /// The product to create if the shop does not have it.
    pub(super) fn as_new(
        &self,
        slug: Option<String>,
        category_ids: Vec<crate::ids::CategoryId>,
    ) -> NewProduct {
        NewProduct {
            slug,
            title: self.title.clone(),
            description: self.description.clone().unwrap_or_default(),
            status: self.status.unwrap_or(ProductStatus::Active),
            vendor: self.vendor.clone(),
            tags: self.tags.clone(),
            attributes: self.attributes.clone(),
            option_names: self.option_names.clone(),
            category_ids,
            images: self.images.clone(),
            variants: self.variants.iter().map(|variant| variant.variant.clone()).collect(),
        }
    }

    /// What is wrong with the product. The slug is checked when the product is created.
    pub(super) fn check(&self, currency: Currency) -> Result<(), ProductRefusal> {
        insert_product::check(&self.as_new(None, Vec::new()), currency)
    }
}
