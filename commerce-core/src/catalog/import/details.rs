//! What a row says about what its variant carries: how it is counted, sent, taxed and recognised. An empty
//! cell says nothing, and a cell that cannot be read is left out with a warning.

use super::findings::{Findings, LineError, WarningKind};
use super::line::{error, image};
use super::prices::Prices;
use super::table::{Header, Row};
use crate::catalog::limits;
use crate::catalog::product::VariantPatch;
use crate::money::Money;

/// The columns of our own layout, in the order in which an export writes them.
pub(in crate::catalog) const NATIVE: [&str; 8] = [
    "track_inventory",
    "continue_selling",
    "weight_grams",
    "requires_shipping",
    "taxable",
    "barcode",
    "cost",
    "variant_image_url",
];

/// A column, if the file has it, with its name there.
pub(super) struct Column {
    pub place: Option<usize>,
    name: String,
}

impl Column {
    pub fn of(header: &Header, aliases: &[&str]) -> Self {
        Self { place: header.place(aliases), name: header.name(aliases) }
    }

    pub fn text<'a>(&self, row: &'a Row) -> &'a str {
        row.cell(self.place)
    }

    /// The value of the cell. `None` if it is empty, or cannot be read.
    pub fn read<T>(
        &self,
        row: &Row,
        found: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = row.cell(self.place);
        if text.is_empty() {
            return None;
        }
        let unreadable = |message| found.warn(WarningKind::UnreadableDetail, error(row, &self.name, message));
        parse(text).map_err(unreadable).ok()
    }
}

/// How a file says whether units are counted, and whether to sell beyond the count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// `true` or `false`.
    Plain,
    /// The name of who counts them, or nothing; and `deny` or `continue`.
    Shopify,
}

/// The columns about what a variant carries.
pub(super) struct Details {
    words: Words,
    tracker: Column,
    policy: Column,
    weight: Column,
    requires_shipping: Column,
    taxable: Column,
    barcode: Column,
    cost: Column,
    image: Column,
    gift_card: Column,
}

impl Details {
    pub fn native(header: &Header) -> Self {
        let [tracker, policy, weight, requires_shipping, taxable, barcode, cost, image] =
            NATIVE.map(|name| Column::of(header, &[name]));
        let gift_card = Column { place: None, name: String::new() };
        let words = Words::Plain;
        Self { words, tracker, policy, weight, requires_shipping, taxable, barcode, cost, image, gift_card }
    }

    /// Shopify's columns, with the names of its older exports and then those of its newer ones. Weights are in
    /// grams, whatever unit Shopify shows them in.
    pub fn shopify(header: &Header) -> Self {
        let column = |aliases: &[&str]| Column::of(header, aliases);
        // It says how Shopify shows the weight. Reading it here keeps it off the list of ignored columns.
        column(&["Variant Weight Unit", "Weight unit for display"]);
        Self {
            words: Words::Shopify,
            tracker: column(&["Variant Inventory Tracker", "Inventory tracker"]),
            policy: column(&["Variant Inventory Policy", "Continue selling when out of stock"]),
            weight: column(&["Variant Grams", "Weight value (grams)"]),
            requires_shipping: column(&["Variant Requires Shipping", "Requires shipping"]),
            taxable: column(&["Variant Taxable", "Charge tax"]),
            barcode: column(&["Variant Barcode", "Barcode"]),
            cost: column(&["Cost per item"]),
            image: column(&["Variant Image", "Variant image URL"]),
            gift_card: column(&["Gift Card"]),
        }
    }

    /// Whether the row is of a gift card, with the place that says so.
    pub fn gift_card(&self, row: &Row) -> Option<LineError> {
        let text = row.cell(self.gift_card.place);
        (parse_bool(text) == Ok(true)).then(|| error(row, &self.gift_card.name, format!("is {text}")))
    }

    /// What the row says.
    pub fn read(&self, row: &Row, prices: Prices, found: &mut Findings) -> VariantPatch {
        let continue_selling = self.policy.read(row, found, |text| match self.words {
            Words::Plain => parse_bool(text),
            Words::Shopify => parse_policy(text),
        });
        if continue_selling == Some(true) {
            let message = "is kept, but nothing is sold beyond the count";
            found.warn(WarningKind::ContinueSelling, error(row, &self.policy.name, message));
        }
        VariantPatch {
            track_inventory: match self.words {
                Words::Plain => self.tracker.read(row, found, parse_bool),
                // Nobody counts the units if the cell is empty.
                Words::Shopify => self.tracker.place.map(|place| !row.cell(Some(place)).is_empty()),
            },
            continue_selling,
            weight_grams: self.weight.read(row, found, parse_grams).map(Some),
            requires_shipping: self.requires_shipping.read(row, found, parse_bool),
            taxable: self.taxable.read(row, found, parse_bool),
            barcode: self.barcode.read(row, found, parse_barcode).map(Some),
            cost: self.cost.read(row, found, |text| parse_cost(text, prices)).map(Some),
            image_url: Some(row.cell(self.image.place))
                .filter(|url| !url.is_empty())
                // The warning about the URL is that of the image.
                .map(|url| {
                    Some(image(row, &self.image.name, url, "", None, &mut Findings::default()).image.url)
                }),
            ..VariantPatch::default()
        }
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn parse_policy(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "continue" => Ok(true),
        "deny" => Ok(false),
        _ => Err(format!("{text:?} is neither deny nor continue")),
    }
}

/// Grams, possibly with decimals, which are rounded to whole grams.
pub(super) fn parse_grams(text: &str) -> Result<i32, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let grams = whole.parse::<i32>().ok().filter(|_| is_number(whole) && is_number(decimals));
    let grams = grams.and_then(|grams| grams.checked_add(i32::from(decimals.as_bytes() >= b"5".as_slice())));
    let max = limits::WEIGHT_GRAMS_MAX;
    grams
        .filter(|grams| *grams <= max)
        .ok_or_else(|| format!("{text:?} is not a number of at most {max} grams"))
}

/// Shopify writes an apostrophe before it, so that a spreadsheet takes it for a text.
pub(super) fn parse_barcode(text: &str) -> Result<String, String> {
    let barcode = text.trim_start_matches('\'');
    let (length, max) = (barcode.chars().count(), limits::BARCODE_CHARS_MAX);
    if length > max {
        Err(format!("has {length} characters; at most {max} are allowed"))
    } else if length == 0 || barcode.contains('\0') {
        Err(format!("{text:?} is not a barcode"))
    } else {
        Ok(barcode.to_owned())
    }
}

pub(super) fn parse_cost(text: &str, prices: Prices) -> Result<Money, String> {
    let cost = prices.parse(text)?;
    let is_possible = (0..=limits::PRICE_MINOR_MAX).contains(&cost.amount_minor);
    if is_possible { Ok(cost) } else { Err(format!("{text:?} is not a possible cost")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_whole_grams() {
        for (text, grams) in
            [("0", 0), ("340", 340), ("340.0", 340), ("0.5", 1), ("453.59", 454), ("1.49", 1)]
        {
            assert_eq!(parse_grams(text), Ok(grams), "{text}");
        }
        for text in ["-1", "1,5", "1.5.2", "1e3", "+1", "2147483648", "100000000.5", "heavy", "."] {
            assert!(parse_grams(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!((parse_bool("TRUE"), parse_bool("No")), (Ok(true), Ok(false)));
        assert_eq!((parse_policy("CONTINUE"), parse_policy("deny")), (Ok(true), Ok(false)));
        assert!(parse_bool("maybe").is_err() && parse_policy("true").is_err());
        assert_eq!(parse_barcode("'0012"), Ok("0012".to_owned()));
        assert!(parse_barcode("'").is_err() && parse_barcode(&"9".repeat(256)).is_err());
    }
}
