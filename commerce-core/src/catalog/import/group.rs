//! Rows become products: the rows of one slug are gathered, checked as a whole, and every wrong place is named.

use std::collections::{BTreeMap, HashMap};

use super::table::{BrokenRow, Row, Table};
use super::{Columns, ImportedProduct, ImportedVariant, Layout, LineError, Places, native, shopify};
use crate::catalog::insert_product;
use crate::catalog::product::{Attributes, NewImage, NewProduct, NewVariant, ProductStatus};
use crate::catalog::{ProductRefusal, limits, slugs};
use crate::money::{Currency, Money};

/// What a file holds.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Products without a fault, in the order of the file.
    pub products: Vec<ImportedProduct>,
    /// Products with a fault, and faulty lines that name no product.
    pub skipped: usize,
    /// The faults, by line.
    pub errors: Vec<LineError>,
}

/// What one row says of its product.
#[derive(Debug)]
pub(super) struct Line {
    /// What the rows of a product have in common, as it stands in the file.
    pub handle: String,
    /// Only on the first row of a product.
    pub head: Option<Head>,
    pub variant: Option<LineVariant>,
    pub images: Vec<LineImage>,
}

#[derive(Debug)]
pub(super) struct Head {
    pub title: String,
    pub description: Option<String>,
    pub status: Option<ProductStatus>,
    pub attributes: Attributes,
    pub category_titles: Vec<String>,
}

#[derive(Debug)]
pub(super) struct LineVariant {
    pub sku: Option<String>,
    /// Names and values in the order of the columns.
    pub options: Vec<(String, String)>,
    pub price: Money,
    /// Absent without such a column.
    pub compare_at_price: Option<Option<Money>>,
    pub active: Option<bool>,
    pub stock: Option<i64>,
}

#[derive(Debug)]
pub(super) struct LineImage {
    pub image: NewImage,
    pub position: Option<i64>,
}

/// The columns of a layout in one file: finds them, and reads rows by them.
pub(super) trait Reader {
    fn columns(&self) -> Columns;

    /// `option_names` are those of the product's rows so far.
    fn read(&self, row: &Row, option_names: &[String]) -> Result<Line, Vec<LineError>>;

    /// The product that a row is meant for, also when the row is broken.
    fn handle<'a>(&self, cells: &'a [String]) -> Option<&'a str>;
}

/// Reads a file. `layout`: `None` tells it from the header. Prices are in `currency`, the shop's. Never fails: what is wrong
/// stands in the result.
pub fn parse(bytes: &[u8], layout: Option<Layout>, currency: Currency) -> Parsed {
    let header_error = |error| Parsed { errors: vec![error], ..Parsed::default() };
    let mut table = match Table::read_header(bytes) {
        Ok(table) => table,
        Err(error) => return header_error(error),
    };
    let layout =
        layout.unwrap_or(if shopify::is_header_of(&table) { Layout::Shopify } else { Layout::Native });
    let reader: Result<Box<dyn Reader>, Vec<LineError>> = match layout {
        Layout::Shopify => shopify::reader(&table, currency),
        Layout::Native => native::reader(&table, currency),
    };
    let reader = match reader {
        Ok(reader) => reader,
        Err(errors) => return Parsed { errors, ..Parsed::default() },
    };
    let mut groups = Groups { columns: reader.columns(), ..Groups::default() };
    while let Some(row) = table.next_row() {
        groups.take(row, reader.as_ref());
    }
    groups.finish(currency)
}

#[derive(Default)]
struct Groups {
    columns: Columns,
    groups: Vec<Group>,
    by_handle: HashMap<String, usize>,
    /// The line that an SKU was first seen on.
    skus: HashMap<String, u64>,
    errors: Vec<LineError>,
    lines_without_product: usize,
}

#[derive(Default)]
struct Group {
    handle: String,
    first_line: u64,
    head: Option<Head>,
    variants: Vec<(u64, LineVariant)>,
    images: Vec<(u64, LineImage)>,
    option_names: Vec<String>,
    is_faulty: bool,
}

impl Groups {
    fn take(&mut self, row: Result<Row, BrokenRow>, reader: &dyn Reader) {
        let row = match row {
            Ok(row) => row,
            Err(BrokenRow { cells, errors }) => {
                let line = errors.first().map_or(0, |error| error.line);
                self.errors.extend(errors);
                return self.mark_faulty(reader.handle(&cells), line);
            }
        };
        let handle = reader.handle(row.cells()).map(str::to_owned);
        let known = handle.as_deref().and_then(|handle| self.by_handle.get(handle));
        let names = known.and_then(|at| self.groups.get(*at)).map(|group| group.option_names.clone());
        match reader.read(&row, &names.unwrap_or_default()) {
            Ok(line) => self.add(row.line, line),
            Err(errors) => {
                self.errors.extend(errors);
                self.mark_faulty(handle.as_deref(), row.line);
            }
        }
    }

    fn group(&mut self, handle: &str, line: u64) -> Option<&mut Group> {
        let next = self.groups.len();
        let at = *self.by_handle.entry(handle.to_owned()).or_insert(next);
        if at == next {
            let handle = handle.to_owned();
            self.groups.push(Group { handle, first_line: line, ..Group::default() });
        }
        self.groups.get_mut(at)
    }

    fn mark_faulty(&mut self, handle: Option<&str>, line: u64) {
        match handle.filter(|handle| !handle.is_empty()) {
            None => self.lines_without_product += 1,
            Some(handle) => {
                if let Some(group) = self.group(handle, line) {
                    group.is_faulty = true;
                }
            }
        }
    }

    fn add(&mut self, number: u64, line: Line) {
        let sku = line.variant.as_ref().and_then(|variant| variant.sku.clone());
        let twin = sku.and_then(|sku| self.skus.insert(sku, number));
        let sku_column = self.columns.sku.clone();
        let Some(group) = self.group(&line.handle, number) else { return };
        if group.head.is_none() {
            group.head = line.head;
        }
        if let Some(variant) = line.variant {
            if group.variants.is_empty() {
                group.option_names = variant.options.iter().map(|(name, _)| name.clone()).collect();
            }
            group.variants.push((number, variant));
        }
        for image in line.images {
            let is_new = group.images.iter().all(|(_, known)| known.image.url != image.image.url);
            if is_new {
                group.images.push((number, image));
            }
        }
        if let Some(twin) = twin {
            group.is_faulty = true;
            let message = format!("is on line {twin} already; a SKU names one variant");
            self.errors.push(LineError { line: number, column: sku_column, message });
        }
    }

    fn finish(mut self, currency: Currency) -> Parsed {
        let mut parsed = Parsed { skipped: self.lines_without_product, ..Parsed::default() };
        let mut by_slug: HashMap<String, String> = HashMap::new();
        for group in std::mem::take(&mut self.groups) {
            let (is_faulty, line, handle) = (group.is_faulty, group.first_line, group.handle.clone());
            let mut errors = Vec::new();
            let product = group.into_product(&self.columns, currency, &mut errors);
            if let Some(product) = &product
                && let Some(other) = by_slug.insert(product.slug.clone(), handle)
            {
                let message = format!("becomes the slug {:?}, as {other:?} does", product.slug);
                errors.push(LineError { line, column: self.columns.slug.clone(), message });
            }
            match product {
                Some(product) if errors.is_empty() && !is_faulty => parsed.products.push(product),
                _ => parsed.skipped += 1,
            }
            self.errors.append(&mut errors);
        }
        self.errors.sort_by_key(|error| error.line);
        self.errors.dedup();
        parsed.errors = self.errors;
        parsed
    }
}

impl Group {
    /// The product of these rows, and what is wrong with it.
    fn into_product(
        mut self,
        columns: &Columns,
        currency: Currency,
        errors: &mut Vec<LineError>,
    ) -> Option<ImportedProduct> {
        // Rows with a position come first, in its order.
        self.images.sort_by_key(|(_, image)| image.position.unwrap_or(i64::MAX));
        let places = Places {
            columns: columns.clone(),
            product_line: self.first_line,
            variant_lines: self.variants.iter().map(|(line, _)| *line).collect(),
            image_lines: self.images.iter().map(|(line, _)| *line).collect(),
        };
        let Some(head) = self.head else {
            // A broken first row was told of already.
            if !self.is_faulty {
                errors.push(places.error("/title", "is empty on the first line of the product"));
            }
            return None;
        };
        let slug = slugs::from_title(&self.handle, "", limits::PRODUCT_SLUG_CHARS_MAX);
        if slug.is_empty() {
            errors.push(places.error("/slug", "has no letter or digit to make an address of"));
            return None;
        }
        let variants = self.variants.into_iter().map(|(_, variant)| variant.into_imported()).collect();
        let product = ImportedProduct {
            slug,
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
        match insert_product::check(&product.as_new(Vec::new()), currency) {
            Ok(()) => {}
            Err(ProductRefusal::Invalid(invalid)) => {
                errors.extend(invalid.into_iter().map(|e| product.places.error(&e.pointer, e.message)));
            }
            Err(refusal) => errors.push(product.places.error("", refusal.to_string())),
        }
        for title in &product.category_titles {
            if title.chars().count() > limits::CATEGORY_TITLE_CHARS_MAX {
                errors.push(product.places.error("/category_ids", "has a category with too long a title"));
            }
        }
        Some(product)
    }
}

impl LineVariant {
    fn into_imported(self) -> ImportedVariant {
        ImportedVariant {
            has_compare_at_column: self.compare_at_price.is_some(),
            has_active_column: self.active.is_some(),
            stock: self.stock,
            variant: NewVariant {
                sku: self.sku,
                options: self.options.into_iter().collect::<BTreeMap<_, _>>(),
                price: self.price,
                compare_at_price: self.compare_at_price.flatten(),
                active: self.active.unwrap_or(true),
            },
        }
    }
}

impl ImportedProduct {
    /// The product to be made if there is none under its slug yet.
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
