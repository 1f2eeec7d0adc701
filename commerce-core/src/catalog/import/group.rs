//! Turns rows into products. The rows with the same slug are collected and checked together, and every wrong
//! place is named.

use std::collections::HashMap;
use std::io::Read;

use super::line::{Head, Line, LineImage, LineVariant, Reader};
use super::table::{BrokenRow, Row, Table};
use super::{Columns, Faults, ImportedProduct, Layout, LineError, Places, native, shopify};
use crate::catalog::insert_product;
use crate::catalog::product::{NewProduct, ProductStatus};
use crate::catalog::{ProductRefusal, limits, slugs};
use crate::money::Currency;

/// Reads a file product by product. It keeps only the rows of one product in memory, and of the others their
/// slugs and SKUs.
pub struct ProductReader<R> {
    table: Table<R>,
    reader: Box<dyn Reader + Send>,
    columns: Columns,
    currency: Currency,
    /// The product of the last row. The next row may belong to it too.
    group: Option<Group>,
    /// The lines that products were first seen on.
    pub slugs: SlugLines,
    /// The lines that SKUs were first seen on.
    skus: HashMap<String, u64>,
    /// Products with an error, and wrong lines that name no product.
    pub skipped: usize,
    /// The errors found so far.
    pub faults: Faults,
}

/// The lines on which the products of a file begin, by their slugs in the file and in the shop.
#[derive(Debug, Default)]
pub struct SlugLines(HashMap<String, Claim>);

/// The product that a slug belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The line that the product begins on.
    pub line: u64,
    /// The slug is the one in the shop, and the file uses another.
    pub is_renamed: bool,
}

impl SlugLines {
    /// Claims the slug for a product. Returns the claim of another product that already has it.
    pub(super) fn claim(&mut self, slug: &str, claim: Claim) -> Option<Claim> {
        match self.0.get(slug) {
            Some(first) => Some(*first).filter(|first| first.line != claim.line),
            None => {
                self.0.insert(slug.to_owned(), claim);
                None
            }
        }
    }

    /// Whether the slug belongs to a product of the file that begins on another line, as far as the file was
    /// read.
    pub(super) fn is_of_another(&self, slug: &str, line: u64) -> bool {
        self.0.get(slug).is_some_and(|claim| claim.line != line && !claim.is_renamed)
    }
}

/// The result of reading a row.
#[derive(Debug)]
pub enum RowRead {
    /// The previous product is complete.
    Product(Box<ImportedProduct>),
    /// The product continues, or has an error.
    Nothing,
    /// There are no more rows.
    End,
}

struct Group {
    handle: String,
    slug: String,
    first_line: u64,
    head: Option<Head>,
    variants: Vec<(u64, LineVariant)>,
    images: Vec<(u64, LineImage)>,
    option_names: Vec<String>,
    is_faulty: bool,
}

impl<R: Read> ProductReader<R> {
    /// Reads the header. If `layout` is `None`, the layout is detected from the header. Prices are in
    /// `currency`, the shop's. The error says what is wrong with the header.
    pub fn new(input: R, layout: Option<Layout>, currency: Currency) -> Result<Self, Faults> {
        let table = Table::read_header(input).map_err(|error| Faults::from(vec![error]))?;
        let header = table.header();
        let layout =
            layout.unwrap_or(if shopify::is_header_of(header) { Layout::Shopify } else { Layout::Native });
        let reader = match layout {
            Layout::Shopify => shopify::reader(header, currency)?,
            Layout::Native => native::reader(header, currency)?,
        };
        Ok(Self {
            columns: reader.columns(),
            table,
            reader,
            currency,
            group: None,
            slugs: SlugLines::default(),
            skus: HashMap::new(),
            skipped: 0,
            faults: Faults::default(),
        })
    }

    /// The number of bytes that were read.
    pub fn bytes_read(&self) -> u64 {
        self.table.bytes_read()
    }

    /// Reads a row. A product without an error is returned after its last row was read. Other products are
    /// counted in `skipped`, and `faults` describes them.
    pub fn read_row(&mut self) -> RowRead {
        let (ended, more) = match self.table.next_row() {
            Some(row) => (self.take(row), true),
            None => (self.group.take(), false),
        };
        match ended.map(|group| self.complete(group)) {
            Some(Some(product)) => RowRead::Product(Box::new(product)),
            Some(None) => RowRead::Nothing,
            None if more => RowRead::Nothing,
            None => RowRead::End,
        }
    }

    /// The next product without an error.
    pub fn next_product(&mut self) -> Option<ImportedProduct> {
        loop {
            match self.read_row() {
                RowRead::Product(product) => return Some(*product),
                RowRead::Nothing => {}
                RowRead::End => return None,
            }
        }
    }

    /// Adds a row to its product. Returns the previous product if it is complete.
    fn take(&mut self, row: Result<Row, BrokenRow>) -> Option<Group> {
        let (cells, line) = match &row {
            Ok(row) => (row.cells(), row.line),
            Err(broken) => (broken.cells.as_slice(), broken.errors.first().map_or(0, |error| error.line)),
        };
        let handle = self.reader.handle(cells).unwrap_or_default().to_owned();
        let ended = if handle.is_empty() { None } else { self.turn_to(&handle, line) };
        let names = self.group.as_ref().map(|group| group.option_names.as_slice()).unwrap_or_default();
        let read = match row {
            Ok(row) => self.reader.read(&row, names),
            Err(broken) => Err(broken.errors),
        };
        match (read, &mut self.group) {
            (Ok(read), Some(group)) => {
                if let Some(error) = twin_sku(&mut self.skus, &read, line, &self.columns.sku) {
                    group.is_faulty = true;
                    self.faults.push(error);
                }
                group.add(line, read);
            }
            (read, group) => {
                self.faults.extend(read.err().unwrap_or_default());
                match group {
                    Some(group) if !handle.is_empty() => group.is_faulty = true,
                    _ => self.skipped += 1,
                }
            }
        }
        ended
    }

    /// Begins another product, unless the row belongs to the present one. Returns the present product if it
    /// is complete.
    fn turn_to(&mut self, handle: &str, line: u64) -> Option<Group> {
        if self.group.as_ref().is_some_and(|group| group.handle == handle) {
            return None;
        }
        let slug = if slugs::is_slug(handle, limits::PRODUCT_SLUG_CHARS_MAX) {
            handle.to_owned()
        } else {
            slugs::from_title(handle, "", limits::PRODUCT_SLUG_CHARS_MAX, slugs::RESERVED_FOR_PRODUCTS)
        };
        // Without a letter there is no slug. That is reported when the product is complete.
        let claim = Claim { line, is_renamed: false };
        let twin = if slug.is_empty() { None } else { self.slugs.claim(&slug, claim) };
        if let Some(first) = twin {
            let at = first.line;
            let message = if first.is_renamed {
                format!("line {at} already refers to the product {slug:?} by a former slug or a SKU")
            } else {
                format!(
                    "the product {slug:?} already begins on line {at}; the lines of a product must stand together"
                )
            };
            self.faults.push(LineError { line, column: self.columns.slug.clone(), message });
        }
        let group = Group {
            handle: handle.to_owned(),
            slug,
            first_line: line,
            head: None,
            variants: Vec::new(),
            images: Vec::new(),
            option_names: Vec::new(),
            is_faulty: twin.is_some(),
        };
        self.group.replace(group)
    }

    fn complete(&mut self, group: Group) -> Option<ImportedProduct> {
        let is_faulty = group.is_faulty;
        let mut errors = Vec::new();
        let product = group.into_product(&self.columns, self.currency, &mut errors);
        let product = product.filter(|_| errors.is_empty() && !is_faulty);
        if product.is_none() {
            self.skipped += 1;
        }
        self.faults.extend(errors);
        product
    }
}

/// Remembers a row's SKU. Returns an error if the SKU was seen before.
fn twin_sku(skus: &mut HashMap<String, u64>, read: &Line, line: u64, column: &str) -> Option<LineError> {
    let sku = read.variant.as_ref()?.sku.clone()?;
    let twin = skus.insert(sku, line)?;
    let message = format!("is already on line {twin}; a SKU must be unique");
    Some(LineError { line, column: column.to_owned(), message })
}

impl Group {
    fn add(&mut self, number: u64, line: Line) {
        if self.head.is_none() {
            self.head = line.head;
        }
        if let Some(variant) = line.variant {
            if self.variants.is_empty() {
                self.option_names = variant.options.iter().map(|(name, _)| name.trim().to_owned()).collect();
            }
            // One variant too many is enough to refuse the product. A file with one endless product must not
            // fill the memory.
            if self.variants.len() <= limits::VARIANTS_PER_PRODUCT_MAX {
                self.variants.push((number, variant));
            }
        }
        for image in line.images {
            if self.images.len() <= limits::IMAGES_PER_PRODUCT_MAX
                && self.images.iter().all(|(_, known)| known.image.url != image.image.url)
            {
                self.images.push((number, image));
            }
        }
    }

    /// The product of these rows, and its errors.
    fn into_product(
        mut self,
        columns: &Columns,
        currency: Currency,
        errors: &mut Vec<LineError>,
    ) -> Option<ImportedProduct> {
        // Images with a position come first, sorted by position.
        self.images.sort_by_key(|(_, image)| image.position.unwrap_or(i64::MAX));
        let places = Places {
            columns: columns.clone(),
            product_line: self.first_line,
            variant_lines: self.variants.iter().map(|(line, _)| *line).collect(),
            image_lines: self.images.iter().map(|(line, _)| *line).collect(),
        };
        let Some(head) = self.head else {
            // A broken first row was already reported.
            if !self.is_faulty {
                errors.push(places.error("/title", "is empty on the first line of the product"));
            }
            return None;
        };
        if self.slug.is_empty() {
            errors.push(places.error("/slug", "has no letter or digit, so it cannot become part of a URL"));
            return None;
        }
        let variants = self.variants.into_iter().map(|(_, variant)| variant.into_imported()).collect();
        let product = ImportedProduct {
            slug: self.slug,
            title: head.title,
            description: head.description,
            status: head.status,
            attributes: head.attributes,
            category_titles: head.category_titles,
            option_names: self.option_names,
            images: self.images.into_iter().map(|(_, image)| image.image).collect(),
            variants,
            places,
        };
        // The product may exist in the shop under a slug that no new product can get. That is checked when
        // the product is created.
        let new = NewProduct { slug: None, ..product.as_new(Vec::new()) };
        match insert_product::check(&new, currency) {
            Ok(()) => {}
            Err(ProductRefusal::Invalid(invalid)) => {
                errors.extend(invalid.into_iter().map(|e| product.places.error(&e.pointer, e.message)));
            }
            Err(refusal) => errors.push(product.places.error("", refusal.to_string())),
        }
        for title in &product.category_titles {
            if title.chars().count() > limits::CATEGORY_TITLE_CHARS_MAX {
                errors.push(product.places.error("/category_ids", "has a category whose title is too long"));
            }
        }
        Some(product)
    }
}

impl ImportedProduct {
    /// The product to create if there is none with its slug.
    pub(super) fn as_new(&self, category_ids: Vec<crate::ids::CategoryId>) -> NewProduct {
        NewProduct {
            slug: Some(self.slug.clone()),
            title: self.title.clone(),
            description: self.description.clone().unwrap_or_default(),
            status: self.status.unwrap_or(ProductStatus::Active),
            attributes: self.attributes.clone(),
            option_names: self.option_names.clone(),
            category_ids,
            images: self.images.clone(),
            variants: self.variants.iter().map(|variant| variant.variant.clone()).collect(),
        }
    }
}
