//! Reads a file product by product, without a database.

use std::collections::HashMap;
use std::io::Read;

use super::findings::{Faults, Findings, IgnoredColumn, LineError, WarningKind, Warnings};
use super::group::Group;
use super::line::{Line, Place, Reader};
use super::prices::Prices;
use super::recognise::unknown_layout;
use super::scattered::Scattered;
use super::table::{BrokenRow, Header, Row, Table};
use super::{Columns, ImportedProduct, Layout, RepeatedSku, native, shopify, woocommerce};
use crate::money::Currency;

/// Reads a file product by product. It keeps only the rows of one product in memory, and of the others their
/// keys and SKUs.
pub struct ProductReader<R> {
    table: Table<R>,
    reader: Box<dyn Reader + Send>,
    layout: Layout,
    columns: Columns,
    currency: Currency,
    repeated_sku: RepeatedSku,
    /// The product of the last row. The next row may belong to it too.
    group: Option<Group>,
    scattered: Scattered,
    /// Products that are complete since the end of the file.
    remaining: std::vec::IntoIter<Group>,
    has_ended: bool,
    /// The lines that products were first seen on.
    pub keys: KeyLines,
    /// The lines that SKUs were first seen on.
    skus: HashMap<String, u64>,
    /// Products with an error, and wrong lines that name no product.
    pub skipped: usize,
    /// The errors found so far.
    pub faults: Faults,
    /// The warnings so far.
    pub warnings: Warnings,
}

/// The lines on which the products of a file begin, by their keys in the file and the keys that it could use
/// for the shop's products.
#[derive(Debug, Default)]
pub struct KeyLines(HashMap<String, Claim>);

/// The product that a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The line that the product begins on.
    pub line: u64,
    /// The key is the one of the shop's product, and the file uses another.
    pub is_renamed: bool,
}

impl KeyLines {
    /// Claims the key for a product. Returns the claim of another product that already has it.
    pub(super) fn claim(&mut self, key: &str, claim: Claim) -> Option<Claim> {
        match self.0.get(key) {
            Some(first) => Some(*first).filter(|first| first.line != claim.line),
            None => {
                self.0.insert(key.to_owned(), claim);
                None
            }
        }
    }

    /// Whether the key belongs to a product of the file that begins on another line, as far as the file was
    /// read.
    pub(super) fn is_of_another(&self, key: &str, line: u64) -> bool {
        self.0.get(key).is_some_and(|claim| claim.line != line && !claim.is_renamed)
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

impl<R: Read> ProductReader<R> {
    /// Reads the header. If `layout` is `None`, the layout is detected from the header. Prices are in
    /// `currency`, the shop's. The error says what is wrong with the header.
    pub fn new(input: R, layout: Option<Layout>, currency: Currency) -> Result<Self, Faults> {
        let mut table = Table::read_header(input).map_err(|error| Faults::from(vec![error]))?;
        let header = table.header();
        let layout = match layout {
            Some(layout) => layout,
            None => layout_of(header)?,
        };
        let prices = Prices { currency, decimal_commas: table.has_decimal_commas() };
        let reader = match layout {
            Layout::Shopify => shopify::reader(header, prices)?,
            Layout::Native => native::reader(header, prices)?,
            Layout::WooCommerce => woocommerce::reader(header, prices)?,
        };
        table.watch_ignored();
        Ok(Self {
            columns: reader.columns(),
            table,
            reader,
            layout,
            currency,
            repeated_sku: RepeatedSku::of(layout),
            group: None,
            scattered: Scattered::default(),
            remaining: Vec::new().into_iter(),
            has_ended: false,
            keys: KeyLines::default(),
            skus: HashMap::new(),
            skipped: 0,
            faults: Faults::default(),
            warnings: Warnings::default(),
        })
    }

    /// Sets what happens to a SKU that an earlier line has. By default the layout decides.
    pub fn set_repeated_sku(&mut self, repeated_sku: RepeatedSku) {
        self.repeated_sku = repeated_sku;
    }

    /// What happens to a SKU that another variant has.
    pub fn repeated_sku(&self) -> RepeatedSku {
        self.repeated_sku
    }

    /// The layout of the file.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of bytes that were read.
    pub fn bytes_read(&self) -> u64 {
        self.table.bytes_read()
    }

    /// The columns that nothing reads, with the content that was seen so far.
    pub fn ignored_columns(&self) -> Vec<IgnoredColumn> {
        self.table.ignored()
    }

    /// Reads a row. A product without an error is returned after its last row was read. Other products are
    /// counted in `skipped`, and `faults` describes them.
    pub fn read_row(&mut self) -> RowRead {
        let (ended, more) = match self.table.next_row() {
            Some(row) => (self.take(row), true),
            None => (self.group.take().or_else(|| self.next_remaining()), false),
        };
        match ended.map(|group| self.complete(group)) {
            Some(Some(product)) => RowRead::Product(Box::new(product)),
            Some(None) => RowRead::Nothing,
            None if more => RowRead::Nothing,
            None => RowRead::End,
        }
    }

    fn next_remaining(&mut self) -> Option<Group> {
        if !std::mem::replace(&mut self.has_ended, true) {
            let mut found = Findings::default();
            let (groups, lost) = self.scattered.finish("Parent", &mut found);
            self.remaining = groups.into_iter();
            self.skipped += lost;
            self.report(found);
        }
        self.remaining.next()
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
        let key = self.reader.key(cells).unwrap_or_default().to_owned();
        let place = self.reader.place(cells);
        // A row with too few or too many cells may have others in the places of the names.
        let is_whole = cells.len() == self.table.header().names().len();
        let names = is_whole.then(|| self.reader.option_names(cells));
        let mut found = Findings::default();
        let ended = match place {
            Place::Together => {
                let ended = if key.is_empty() { None } else { self.turn_to(&key, line, names) };
                let read = self.read(row, line, &mut found);
                match &mut self.group {
                    Some(group) if !key.is_empty() => {
                        found.errors.iter().for_each(|error| group.mark_faulty(error));
                        group.add(line, read);
                    }
                    _ => self.skipped += 1,
                }
                ended
            }
            Place::Parent(references) => {
                let mut group = self.begin(&key, line, None);
                let read = self.read(row, line, &mut found);
                found.errors.iter().for_each(|error| group.mark_faulty(error));
                group.add(line, read);
                self.scattered.begin(group, references);
                None
            }
            Place::Child(reference) => {
                let read = self.read(row, line, &mut found);
                self.scattered.add(reference, line, read, found.errors.clone());
                None
            }
            Place::LeftOut(message) => {
                self.skipped += 1;
                let column = self.columns.title.clone();
                found.warn(WarningKind::UnknownType, LineError { line, column, message });
                None
            }
        };
        self.report(found);
        ended
    }

    fn read(&mut self, row: Result<Row, BrokenRow>, line: u64, found: &mut Findings) -> Line {
        match row {
            Ok(row) => {
                let names = self.group.as_ref().and_then(|group| group.option_names.as_deref());
                let mut read = self.reader.read(&row, names, found);
                self.look_at_sku(&mut read, line, found);
                read
            }
            Err(broken) => {
                found.errors = broken.errors;
                Line::default()
            }
        }
    }

    /// Remembers a row's SKU, and finds out whether an earlier row has it.
    fn look_at_sku(&mut self, read: &mut Line, line: u64, found: &mut Findings) {
        let Some(variant) = &mut read.variant else { return };
        let Some(sku) = variant.sku.clone() else { return };
        let Some(first) = self.skus.get(&sku).copied() else {
            self.skus.insert(sku, line);
            return;
        };
        let column = self.columns.sku.clone();
        match self.repeated_sku {
            RepeatedSku::Refuse => {
                let message = format!("is already on line {first}; a SKU must be unique");
                found.errors.push(LineError { line, column, message });
            }
            RepeatedSku::Drop => {
                let message = format!("{sku:?} is already on line {first}");
                found.warn(WarningKind::RepeatedSku, LineError { line, column, message });
                variant.sku = None;
            }
        }
    }

    /// Begins another product, unless the row belongs to the present one. Returns the present product if it
    /// is complete.
    fn turn_to(&mut self, key: &str, line: u64, option_names: Option<Vec<String>>) -> Option<Group> {
        if self.group.as_ref().is_some_and(|group| group.key == key) {
            return None;
        }
        let group = self.begin(key, line, option_names);
        self.group.replace(group)
    }

    /// Begins a product, whose key no other product of the file has.
    fn begin(&mut self, key: &str, line: u64, option_names: Option<Vec<String>>) -> Group {
        let mut group = Group::new(key, self.layout, line, option_names);
        if let Some(first) = self.keys.claim(key, Claim { line, is_renamed: false }) {
            let at = first.line;
            let message = if first.is_renamed {
                format!("line {at} already refers to the product {key:?} by a former slug or a SKU")
            } else {
                format!(
                    "the product {key:?} already begins on line {at}; the lines of a product must stand together"
                )
            };
            let error = LineError { line, column: self.columns.slug.clone(), message };
            group.mark_faulty(&error);
            self.faults.push(error);
        }
        group
    }

    fn complete(&mut self, group: Group) -> Option<ImportedProduct> {
        let mut found = Findings::default();
        let product = group.into_product(&self.columns, self.currency, &mut found);
        if product.is_none() {
            self.skipped += 1;
        }
        self.report(found);
        product
    }

    fn report(&mut self, found: Findings) {
        self.faults.extend(found.errors);
        for (kind, place) in found.warnings {
            self.warnings.push(kind, place);
        }
    }
}

/// The layout that a header is of. Our own is what nothing else is.
fn layout_of(header: &Header) -> Result<Layout, Faults> {
    if shopify::is_header_of(header) {
        return Ok(Layout::Shopify);
    }
    if woocommerce::is_header_of(header) {
        return Ok(Layout::WooCommerce);
    }
    match unknown_layout(header) {
        Some(errors) => Err(errors.into()),
        None => Ok(Layout::Native),
    }
}
