//! Our own layout: plain columns, described at [`super::Layout::Native`].

use super::Columns;
use super::details::{self, Details};
use super::findings::{Findings, LineError};
use super::line::{
    Head, Line, LineVariant, Reader, compare_at_price, error, image, missing_column, tags, units, vendor,
};
use super::prices::Prices;
use super::table::{Header, Row};
use crate::catalog::category_names::CategoryName;
use crate::catalog::product::{Attributes, ProductStatus};

const ATTRIBUTE: &str = "attribute:";
/// All columns except those of single attributes. An export writes its cells in this order.
pub(in crate::catalog) const COLUMNS: [&str; 17] = [
    "slug",
    "title",
    "description",
    "status",
    "vendor",
    "tags",
    "categories",
    "options",
    "sku",
    "price",
    "compare_at_price",
    "currency",
    "stock",
    "active",
    "image_url",
    "image_alt",
    "attributes",
];

/// The places of the columns in one file.
struct Native {
    prices: Prices,
    slug: usize,
    title: usize,
    price: usize,
    /// The other columns, by name.
    places: [Option<usize>; COLUMNS.len()],
    details: Details,
    /// The attributes with a column, and its place.
    attributes: Vec<(String, usize)>,
}

pub(super) fn reader(header: &Header, prices: Prices) -> Result<Box<dyn Reader + Send>, Vec<LineError>> {
    let mut errors = Vec::new();
    let mut attributes = Vec::new();
    for (place, name) in header.names().iter().enumerate() {
        let lower = name.to_lowercase();
        match lower.strip_prefix(ATTRIBUTE) {
            Some(_) => {
                let key = name.get(ATTRIBUTE.len()..).unwrap_or_default().trim();
                attributes.push((key.to_owned(), place));
            }
            None if COLUMNS.contains(&lower.as_str()) || details::NATIVE.contains(&lower.as_str()) => {}
            None => {
                let message = "is not a column that can be imported; an attribute is named attribute:NAME";
                errors.push(LineError { line: 1, column: name.clone(), message: message.to_owned() });
            }
        }
    }
    let (Some(slug), Some(title), Some(price)) =
        (header.place(&["slug"]), header.place(&["title"]), header.place(&["price"]))
    else {
        let missing = [&["slug"], &["title"], &["price"]].into_iter();
        let missing = missing.filter(|column| header.place(*column).is_none());
        errors.extend(missing.map(|column| missing_column(column)));
        return Err(errors);
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let places = COLUMNS.map(|column| header.place(&[column]));
    let details = Details::native(header);
    Ok(Box::new(Native { prices, slug, title, price, places, details, attributes }))
}

impl Reader for Native {
    fn columns(&self) -> Columns {
        let name = str::to_owned;
        Columns {
            slug: name("slug"),
            title: name("title"),
            description: name("description"),
            attributes: name(ATTRIBUTE),
            categories: name("categories"),
            options: name("options"),
            sku: name("sku"),
            price: name("price"),
            compare_at_price: name("compare_at_price"),
            stock: name("stock"),
            image_url: name("image_url"),
            image_alt: name("image_alt"),
        }
    }

    fn key<'a>(&self, cells: &'a [String]) -> Option<&'a str> {
        cells.get(self.slug).map(|cell| cell.trim())
    }

    fn read(&self, row: &Row, _option_names: Option<&[String]>, found: &mut Findings) -> Line {
        if row.cell(Some(self.slug)).is_empty() {
            found.errors.push(error(row, "slug", "is empty"));
        }
        let head = (!row.cell(Some(self.title)).is_empty()).then(|| self.head(row, found));
        let texts = [row.cell(Some(self.price)), self.cell(row, "sku"), self.cell(row, "options")];
        let has_variant = head.is_some() || texts.iter().any(|text| !text.is_empty());
        let variant = has_variant.then(|| self.variant(row, found)).flatten();
        let mut images = match self.cell(row, "image_url") {
            "" => Vec::new(),
            url => vec![image(row, "image_url", url, self.cell(row, "image_alt"), None, found)],
        };
        images.extend(variant.as_ref().and_then(LineVariant::image));
        Line { head, variant, images, gift_card: None }
    }
}

impl Native {
    fn place(&self, column: &str) -> Option<usize> {
        let at = COLUMNS.iter().position(|name| *name == column)?;
        self.places.get(at).copied().flatten()
    }

    fn cell<'a>(&self, row: &'a Row, column: &str) -> &'a str {
        row.cell(self.place(column))
    }

    fn head(&self, row: &Row, found: &mut Findings) -> Head {
        let vendor = vendor(row, "vendor", self.cell(row, "vendor"), found);
        let tags = tags(row, "tags", self.cell(row, "tags"), found);
        let errors = &mut found.errors;
        let status = match self.cell(row, "status") {
            "" => None,
            text => text.parse().map_err(|message: String| errors.push(error(row, "status", message))).ok(),
        };
        let mut attributes = match parse_attributes(self.cell(row, "attributes")) {
            Ok(attributes) => attributes,
            Err(message) => {
                errors.push(error(row, "attributes", message));
                Attributes::new()
            }
        };
        for (name, place) in &self.attributes {
            let text = row.cell(Some(*place));
            if !text.is_empty() {
                attributes.insert(name.clone(), text.into());
            }
        }
        let categories = parse_categories(self.cell(row, "categories")).unwrap_or_else(|message| {
            errors.push(error(row, "categories", message));
            Vec::new()
        });
        let is_hidden = status.is_some_and(|status| status != ProductStatus::Active);
        Head {
            title: row.cell(Some(self.title)).to_owned(),
            description: self.place("description").map(|place| row.cell(Some(place)).to_owned()),
            status,
            vendor,
            tags,
            attributes,
            categories,
            hidden: is_hidden.then(|| error(row, "status", format!("is {}", self.cell(row, "status")))),
            weight_grams: None,
        }
    }

    fn variant(&self, row: &Row, found: &mut Findings) -> Option<LineVariant> {
        let before = found.errors.len();
        let parse = |text: &str| self.prices.parse(text);
        let compare_at_price = self
            .place("compare_at_price")
            .map(|place| compare_at_price(row, "compare_at_price", row.cell(Some(place)), parse, found));
        let stock = units(row, "stock", self.cell(row, "stock"), found);
        let details = self.details.read(row, self.prices, found);
        let mut fail = |column: &str, message: String| found.errors.push(error(row, column, message));
        let price = parse(row.cell(Some(self.price))).map_err(|message| fail("price", message)).ok();
        let options = parse_options(self.cell(row, "options")).unwrap_or_else(|message| {
            fail("options", message);
            Vec::new()
        });
        let active = match self.cell(row, "active") {
            "" => None,
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                fail("active", "is neither true nor false".to_owned());
                None
            }
        };
        let currency = self.cell(row, "currency");
        if !currency.is_empty() && currency != self.prices.currency.code() {
            fail("currency", format!("is {currency}; prices of this shop are in {}", self.prices.currency));
        }
        if found.errors.len() > before {
            return None;
        }
        let sku = Some(self.cell(row, "sku")).filter(|sku| !sku.is_empty()).map(str::to_owned);
        Some(LineVariant { sku, options, price: price?, compare_at_price, active, stock, details })
    }
}

/// Attributes of any kind, as a JSON object.
fn parse_attributes(text: &str) -> Result<Attributes, String> {
    if text.is_empty() {
        return Ok(Attributes::new());
    }
    serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))
}

/// `Size=S; Color=Blue` as pairs, or JSON pairs for names and values that contain such signs.
fn parse_options(text: &str) -> Result<Vec<(String, String)>, String> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|error| format!("are not JSON pairs: {error}"));
    }
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("{part:?} is not written as Name=Value"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Titles separated by `|`, or JSON pairs of a title and a slug.
fn parse_categories(text: &str) -> Result<Vec<CategoryName>, String> {
    if text.starts_with("[[") {
        let pairs: Vec<(String, String)> =
            serde_json::from_str(text).map_err(|error| format!("are not JSON pairs: {error}"))?;
        return Ok(pairs.into_iter().map(|(title, slug)| CategoryName::Slug { slug, title }).collect());
    }
    let titles = text.split('|').map(str::trim).filter(|title| !title.is_empty());
    Ok(titles.map(|title| CategoryName::Title(title.to_owned())).collect())
}
