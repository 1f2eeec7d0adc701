//! The content of one row of a file, in any layout.

use std::collections::BTreeMap;

use super::findings::{Findings, LineError, WarningKind};
use super::table::Row;
use super::{Columns, ImportedVariant};
use crate::catalog::category_names::CategoryName;
use crate::catalog::insert_product::{normalise_variant, normalised_tags};
use crate::catalog::product::{Attributes, NewImage, NewVariant, ProductStatus, VariantPatch};
use crate::catalog::{StaffDetails, VariantDetails, limits};
use crate::inventory::ON_HAND_MAX;
use crate::money::Money;

/// What one row says about its product.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Only on the first row of a product.
    pub head: Option<Head>,
    pub variant: Option<LineVariant>,
    pub images: Vec<LineImage>,
    /// The place that says that the product is a gift card.
    pub gift_card: Option<LineError>,
}

#[derive(Debug)]
pub(super) struct Head {
    pub title: String,
    pub description: Option<String>,
    pub status: Option<ProductStatus>,
    pub vendor: Option<String>,
    /// Empty if the row says nothing about them.
    pub tags: Vec<String>,
    pub attributes: Attributes,
    pub categories: Vec<CategoryName>,
    /// Why shoppers will not see the product.
    pub hidden: Option<LineError>,
    /// The weight of variants that have none of their own.
    pub weight_grams: Option<Option<i32>>,
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
    /// What it carries, as far as the row says it.
    pub details: VariantPatch,
}

#[derive(Debug)]
pub(super) struct LineImage {
    pub image: NewImage,
    pub position: Option<i64>,
}

/// Where the other rows of a row's product stand.
#[derive(Debug)]
pub(super) enum Place {
    /// Around it.
    Together,
    /// Anywhere. They name it by one of these references.
    Parent(Vec<String>),
    /// Anywhere. It refers to their first row.
    Child(String),
    /// The row is of no kind that can be imported. Says why.
    LeftOut(String),
}

/// Finds the columns of a layout in a file, and reads rows with them.
pub(super) trait Reader {
    fn columns(&self) -> Columns;

    /// `option_names` are those of the product's first row, `None` if that is broken. What cannot be read is in `found`, and the rest is
    /// returned.
    fn read(&self, row: &Row, option_names: Option<&[String]>, found: &mut Findings) -> Line;

    /// The product that a row belongs to, even if the row is broken.
    fn key<'a>(&self, cells: &'a [String]) -> Option<&'a str>;

    /// Where the other rows of the product stand.
    fn place(&self, _cells: &[String]) -> Place {
        Place::Together
    }

    /// The names of the options on the first row of a product, even if the row is broken. Empty if every row
    /// has them.
    fn option_names(&self, _cells: &[String]) -> Vec<String> {
        Vec::new()
    }
}

impl LineVariant {
    /// The image that shows the variant. It becomes one of the product's, unless another row has it too.
    pub fn image(&self) -> Option<LineImage> {
        let url = self.details.image_url.clone().flatten()?;
        Some(LineImage { image: NewImage { url, alt: String::new() }, position: None })
    }

    pub fn into_imported(self) -> ImportedVariant {
        let (mut details, mut staff) = (VariantDetails::default(), StaffDetails::default());
        self.details.apply_to(&mut details, &mut staff);
        let mut variant = NewVariant {
            sku: self.sku,
            options: self.options.into_iter().collect::<BTreeMap<_, _>>(),
            price: self.price,
            compare_at_price: self.compare_at_price.flatten(),
            active: self.active.unwrap_or(true),
            details,
            staff,
        };
        normalise_variant(&mut variant);
        ImportedVariant {
            has_compare_at_column: self.compare_at_price.is_some(),
            has_active_column: self.active.is_some(),
            stock: self.stock,
            details: self.details,
            variant,
        }
    }
}

/// The vendor, which is left out if it is too long.
pub(super) fn vendor(row: &Row, column: &str, text: &str, found: &mut Findings) -> Option<String> {
    let (length, max) = (text.chars().count(), limits::VENDOR_CHARS_MAX);
    if length > max {
        let message = format!("has {length} characters; at most {max} are allowed");
        found.warn(WarningKind::UnusableAttributes, error(row, column, message));
    }
    (1..=max).contains(&length).then(|| text.to_owned())
}

/// Tags separated by commas.
pub(super) fn tags(row: &Row, column: &str, text: &str, found: &mut Findings) -> Vec<String> {
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned);
    usable_tags(row, column, tags.collect(), found)
}

/// Tags without those that have a comma or are too long, and without those beyond the limit.
pub(super) fn usable_tags(row: &Row, column: &str, tags: Vec<String>, found: &mut Findings) -> Vec<String> {
    let mut usable = normalised_tags(&tags);
    let total = usable.len();
    usable.retain(|tag| tag.chars().count() <= limits::TAG_CHARS_MAX && !tag.contains(','));
    usable.truncate(limits::TAGS_PER_PRODUCT_MAX);
    if usable.len() < total {
        let kept = usable.len();
        let message =
            format!("{kept} of {total} tags are imported; the others cannot be used, or are too many");
        found.warn(WarningKind::UnusableAttributes, error(row, column, message));
    }
    usable
}

/// A compare-at price, which is left out if it cannot be read. An empty cell means that there is none.
pub(super) fn compare_at_price(
    row: &Row,
    column: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<Money, String>,
    found: &mut Findings,
) -> Option<Money> {
    if text.is_empty() {
        return None;
    }
    parse(text)
        .map_err(|message| found.warn(WarningKind::UnreadableCompareAtPrice, error(row, column, message)))
        .ok()
}

/// Units on hand. An empty cell says nothing about them. `10.0` is how spreadsheets and scripts write 10, and
/// a negative number is how shops write what is oversold.
pub(super) fn units(row: &Row, column: &str, text: &str, found: &mut Findings) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    match whole_number(text) {
        Some(units) if units < 0 => {
            found.warn(WarningKind::NegativeStock, error(row, column, format!("{text} is taken as 0")));
            Some(0)
        }
        Some(units) if units <= ON_HAND_MAX => Some(units),
        _ => {
            let message = format!("{text:?} is not a whole number of at most {ON_HAND_MAX} units");
            found.warn(WarningKind::UnreadableStock, error(row, column, message));
            None
        }
    }
}

/// `10`, `10.0` or `1,000`.
fn whole_number(text: &str) -> Option<i64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let rest: Vec<&str> = groups.collect();
    let is_grouped = rest.iter().all(|group| group.len() == 3 && digits(group));
    if first.is_empty() || !is_grouped || !places.bytes().all(|byte| byte == b'0') {
        return None;
    }
    format!("{first}{}", rest.concat()).parse().ok()
}

/// An image of a row. A URL without a scheme, or with blanks, is mended as browsers do.
pub(super) fn image(
    row: &Row,
    column: &str,
    url: &str,
    alt: &str,
    position: Option<i64>,
    found: &mut Findings,
) -> LineImage {
    let mended = mended_url(url);
    if mended != url {
        found.warn(WarningKind::MendedImage, error(row, column, format!("{url:?} is taken as {mended}")));
    }
    LineImage { image: NewImage { url: mended, alt: alt.to_owned() }, position }
}

fn mended_url(url: &str) -> String {
    let url = if url.starts_with("//") { format!("https:{url}") } else { url.to_owned() };
    let needs_escape = |char: char| char.is_whitespace() || "\"<>\\^`{|}".contains(char);
    let mut mended = String::with_capacity(url.len());
    for char in url.chars() {
        if needs_escape(char) {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                mended += &format!("%{byte:02X}");
            }
        } else {
            mended.push(char);
        }
    }
    mended
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_programs_write() {
        for (text, number) in [("10", 10), ("10.0", 10), ("1,000", 1000), ("-3", -3), ("-3.00", -3), ("0", 0)]
        {
            assert_eq!(whole_number(text), Some(number), "{text}");
        }
        for text in ["", "1.5", "1,5", "1,0000", ",000", "a", "1.0.0", "99999999999999999999"] {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_that_browsers_understand() {
        assert_eq!(mended_url("//cdn.example/a b.jpg"), "https://cdn.example/a%20b.jpg");
        for url in ["https://x.example/a.jpg?v=1", "/demo-images/a.svg", "javascript:x"] {
            assert_eq!(mended_url(url), url);
        }
    }
}
