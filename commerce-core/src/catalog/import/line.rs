//! The content of one row of a file, in any layout.

use std::collections::BTreeMap;

use super::table::Row;
use super::{Columns, ImportedVariant, LineError};
use crate::catalog::insert_product::normalise_variant;
use crate::catalog::product::{Attributes, NewImage, NewVariant, ProductStatus};
use crate::inventory::ON_HAND_MAX;
use crate::money::{Currency, Money};

/// What one row says about its product.
#[derive(Debug)]
pub(super) struct Line {
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
    /// Names and values, in the order of the columns.
    pub options: Vec<(String, String)>,
    pub price: Money,
    /// `None` without such a column.
    pub compare_at_price: Option<Option<Money>>,
    pub active: Option<bool>,
    pub stock: Option<i64>,
}

#[derive(Debug)]
pub(super) struct LineImage {
    pub image: NewImage,
    pub position: Option<i64>,
}

/// Finds the columns of a layout in a file, and reads rows with them.
pub(super) trait Reader {
    fn columns(&self) -> Columns;

    /// `option_names` are those of the product's rows so far.
    fn read(&self, row: &Row, option_names: &[String]) -> Result<Line, Vec<LineError>>;

    /// The product that a row belongs to, even if the row is broken.
    fn handle<'a>(&self, cells: &'a [String]) -> Option<&'a str>;
}

impl LineVariant {
    pub fn into_imported(self) -> ImportedVariant {
        let mut variant = NewVariant {
            sku: self.sku,
            options: self.options.into_iter().collect::<BTreeMap<_, _>>(),
            price: self.price,
            compare_at_price: self.compare_at_price.flatten(),
            active: self.active.unwrap_or(true),
        };
        normalise_variant(&mut variant);
        ImportedVariant {
            has_compare_at_column: self.compare_at_price.is_some(),
            has_active_column: self.active.is_some(),
            stock: self.stock,
            variant,
        }
    }
}

/// A price as a plain decimal of the currency.
pub(super) fn parse_price(text: &str, currency: Currency) -> Result<Money, String> {
    if text.is_empty() {
        return Err("is empty: every variant has a price".to_owned());
    }
    Money::parse_decimal(text, currency).map_err(|error| error.to_string())
}

/// A quantity. An empty cell says nothing about it.
pub(super) fn parse_units(text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<i64>() {
        Ok(units) if (0..=ON_HAND_MAX).contains(&units) => Ok(Some(units)),
        Ok(units) if units < 0 => Err(format!("{units} is negative; write 0 for what is sold out")),
        _ => Err(format!("{text:?} is not a whole number of at most {ON_HAND_MAX} units")),
    }
}

/// The error for a required column that is missing. `aliases` are the possible names.
pub(super) fn missing_column(aliases: &[&str]) -> LineError {
    let column = aliases.first().copied().unwrap_or_default().to_owned();
    LineError { line: 1, column, message: "is missing from the header".to_owned() }
}

/// An error in a cell of a row.
pub(super) fn error(row: &Row, column: &str, message: impl Into<String>) -> LineError {
    LineError { line: row.line, column: column.to_owned(), message: message.into() }
}
