//! What a variant carries, as WooCommerce's export says it. An empty cell says nothing, and a cell that cannot be
//! read is left out with a warning.

use super::details::{Column, parse_barcode, parse_cost, parse_grams};
use super::findings::Findings;
use super::prices::Prices;
use super::table::{Header, Row};
use crate::catalog::product::VariantPatch;

/// The units of the shop's weights, and a unit's grams.
const WEIGHTS: [(&str, f64); 4] = [
    ("Weight (kg)", 1000.0),
    ("Weight (g)", 1.0),
    ("Weight (lbs)", 453.592_37),
    ("Weight (oz)", 28.349_523_125),
];

/// The columns about what a variant carries.
pub(super) struct WooCommerceDetails {
    kind: Column,
    stock: Column,
    in_stock: Column,
    backorders: Column,
    weight: Column,
    grams: f64,
    tax_status: Column,
    barcode: Column,
    cost: Column,
}

impl WooCommerceDetails {
    pub fn of(header: &Header) -> Self {
        let column = |name: &str| Column::of(header, &[name]);
        let (unit, grams) =
            WEIGHTS.into_iter().find(|(name, _)| header.has(name)).unwrap_or(("Weight (kg)", 1000.0));
        Self {
            kind: column("Type"),
            stock: column("Stock"),
            in_stock: column("In stock?"),
            backorders: column("Backorders allowed?"),
            weight: column(unit),
            grams,
            tax_status: column("Tax status"),
            barcode: column("GTIN, UPC, EAN, or ISBN"),
            cost: column("Cost of goods"),
        }
    }

    pub fn read(&self, row: &Row, prices: Prices, found: &mut Findings) -> VariantPatch {
        let is_digital = ["virtual", "downloadable"].iter().any(|word| self.kind.text(row).contains(word));
        VariantPatch {
            // Without a count what is in stock is always for sale, and the rest never.
            track_inventory: self
                .stock
                .place
                .map(|_| !self.stock.text(row).is_empty() || self.in_stock.text(row) == "0"),
            continue_selling: self.backorders.read(row, found, |text| match text {
                "0" => Ok(false),
                "1" | "notify" => Ok(true),
                _ => Err(format!("{text:?} is neither 0, 1 nor notify")),
            }),
            weight_grams: self.weight.read(row, found, |text| self.in_grams(text)).map(Some),
            requires_shipping: self.kind.place.map(|_| !is_digital),
            taxable: self.tax_status.read(row, found, |text| match text {
                "taxable" => Ok(true),
                "none" | "shipping" => Ok(false),
                _ => Err(format!("{text:?} is neither taxable, shipping nor none")),
            }),
            barcode: self.barcode.read(row, found, parse_barcode).map(Some),
            cost: self.cost.read(row, found, |text| parse_cost(text, prices)).map(Some),
            ..VariantPatch::default()
        }
    }

    fn in_grams(&self, text: &str) -> Result<i32, String> {
        let decimal = text.replace(',', ".");
        let weight: f64 = decimal.parse().map_err(|_| format!("{text:?} is not a weight"))?;
        parse_grams(&format!("{:.3}", weight * self.grams))
            .map_err(|_| format!("{text:?} is not a possible weight"))
    }
}
