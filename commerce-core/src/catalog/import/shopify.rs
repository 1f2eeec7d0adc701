//! Shopify's product CSV, with the column names of its older exports and then those of its newer ones.

use super::Columns;
use super::details::Details;
use super::findings::{Findings, LineError, WarningKind};
use super::line::{
    Head, Line, LineImage, LineVariant, Reader, compare_at_price, error, image, missing_column, tags, units,
    vendor,
};
use super::prices::Prices;
use super::table::{Header, Row};
use crate::catalog::category_names::CategoryName;
use crate::catalog::product::{Attributes, ProductStatus};

const HANDLE: &[&str] = &["Handle", "URL handle"];
const TITLE: &[&str] = &["Title"];
const BODY: &[&str] = &["Body (HTML)", "Description"];
const VENDOR: &[&str] = &["Vendor"];
const TYPE: &[&str] = &["Type", "Custom Product Type"];
const PRODUCT_CATEGORY: &[&str] = &["Product Category", "Standardized Product Type"];
const TAGS: &[&str] = &["Tags"];
const STATUS: &[&str] = &["Status"];
const PUBLISHED: &[&str] = &["Published", "Published on online store"];
const OPTION_NAMES: [&[&str]; 3] = [&["Option1 Name"], &["Option2 Name"], &["Option3 Name"]];
const OPTION_VALUES: [&[&str]; 3] = [&["Option1 Value"], &["Option2 Value"], &["Option3 Value"]];
const SKU: &[&str] = &["Variant SKU", "SKU"];
const QUANTITY: &[&str] = &["Variant Inventory Qty", "Inventory quantity"];
const PRICE: &[&str] = &["Variant Price", "Price"];
const COMPARE_AT: &[&str] = &["Variant Compare At Price", "Compare-at price"];
const IMAGE_SRC: &[&str] = &["Image Src", "Product image URL"];
const IMAGE_POSITION: &[&str] = &["Image Position"];
const IMAGE_ALT: &[&str] = &["Image Alt Text"];
const VARIANT_IMAGE: &[&str] = &["Variant Image", "Variant image URL"];
const SEO_TITLE: &[&str] = &["SEO Title"];
const SEO_DESCRIPTION: &[&str] = &["SEO Description"];
/// Columns such as `Included / International`, one for each market of the shop.
const INCLUDED: &str = "included /";

/// Whether the header is one of Shopify's.
pub(super) fn is_header_of(header: &Header) -> bool {
    header.place(HANDLE).is_some()
}

/// The places of the columns in one file.
struct Shopify {
    prices: Prices,
    columns: Columns,
    option_columns: [(String, String); 3],
    handle: usize,
    title: usize,
    price: usize,
    body: Option<usize>,
    vendor: Option<usize>,
    vendor_column: String,
    kind: Option<usize>,
    product_category: Option<usize>,
    tags: Option<usize>,
    status: Option<usize>,
    published: Option<usize>,
    status_column: String,
    published_column: String,
    /// The columns of the markets, with their names.
    markets: Vec<(usize, String)>,
    option_names: [Option<usize>; 3],
    option_values: [Option<usize>; 3],
    sku: Option<usize>,
    quantity: Option<usize>,
    compare_at: Option<usize>,
    image_src: Option<usize>,
    image_position: Option<usize>,
    image_alt: Option<usize>,
    variant_image: Option<usize>,
    details: Details,
    seo_title: Option<usize>,
    seo_description: Option<usize>,
}

pub(super) fn reader(header: &Header, prices: Prices) -> Result<Box<dyn Reader + Send>, Vec<LineError>> {
    let (Some(handle), Some(title), Some(price)) =
        (header.place(HANDLE), header.place(TITLE), header.place(PRICE))
    else {
        let missing = [HANDLE, TITLE, PRICE].into_iter().filter(|column| header.place(column).is_none());
        return Err(missing.map(missing_column).collect());
    };
    let option_columns = std::array::from_fn(|at| {
        let name = |columns: [&'static [&'static str]; 3]| {
            columns.get(at).map(|c| header.name(c)).unwrap_or_default()
        };
        (name(OPTION_NAMES), name(OPTION_VALUES))
    });
    let columns = Columns {
        slug: header.name(HANDLE),
        title: header.name(TITLE),
        description: header.name(BODY),
        attributes: header.name(TAGS),
        categories: header.name(TYPE),
        options: header.name(&["Option1 Value"]),
        sku: header.name(SKU),
        price: header.name(PRICE),
        compare_at_price: header.name(COMPARE_AT),
        stock: header.name(QUANTITY),
        image_url: header.name(IMAGE_SRC),
        image_alt: header.name(IMAGE_ALT),
    };
    Ok(Box::new(Shopify {
        prices,
        option_columns,
        columns,
        handle,
        title,
        price,
        body: header.place(BODY),
        vendor: header.place(VENDOR),
        vendor_column: header.name(VENDOR),
        kind: header.place(TYPE),
        product_category: header.place(PRODUCT_CATEGORY),
        tags: header.place(TAGS),
        status: header.place(STATUS),
        published: header.place(PUBLISHED),
        status_column: header.name(STATUS),
        published_column: header.name(PUBLISHED),
        markets: markets(header),
        option_names: OPTION_NAMES.map(|column| header.place(column)),
        option_values: OPTION_VALUES.map(|column| header.place(column)),
        sku: header.place(SKU),
        quantity: header.place(QUANTITY),
        compare_at: header.place(COMPARE_AT),
        image_src: header.place(IMAGE_SRC),
        image_position: header.place(IMAGE_POSITION),
        image_alt: header.place(IMAGE_ALT),
        variant_image: header.place(VARIANT_IMAGE),
        details: Details::shopify(header),
        seo_title: header.place(SEO_TITLE),
        seo_description: header.place(SEO_DESCRIPTION),
    }))
}

fn markets(header: &Header) -> Vec<(usize, String)> {
    let markets = header.columns().filter(|(_, name)| name.starts_with(INCLUDED));
    let places = markets.filter_map(|(_, name)| Some((header.place(&[&name])?, header.name(&[&name]))));
    places.collect()
}

impl Reader for Shopify {
    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn key<'a>(&self, cells: &'a [String]) -> Option<&'a str> {
        cells.get(self.handle).map(|cell| cell.trim())
    }

    fn option_names(&self, cells: &[String]) -> Vec<String> {
        let cell = |place: &Option<usize>| place.and_then(|place| cells.get(place)).map(|cell| cell.trim());
        self.option_names.iter().map(|place| cell(place).unwrap_or_default().to_owned()).collect()
    }

    fn read(&self, row: &Row, option_names: Option<&[String]>, found: &mut Findings) -> Line {
        if row.cell(Some(self.handle)).is_empty() {
            found.errors.push(error(row, &self.columns.slug, "is empty"));
        }
        let head = (!row.cell(Some(self.title)).is_empty()).then(|| self.head(row, found));
        // A line without price, SKU and option only adds an image.
        let has_variant = head.is_some()
            || [Some(self.price), self.sku]
                .iter()
                .chain(&self.option_values)
                .any(|c| !row.cell(*c).is_empty());
        let variant = has_variant.then(|| self.variant(row, option_names, found)).flatten();
        Line { head, variant, images: self.images(row, found), gift_card: self.details.gift_card(row) }
    }
}

impl Shopify {
    fn head(&self, row: &Row, found: &mut Findings) -> Head {
        let tags = tags(row, &self.columns.attributes, row.cell(self.tags), found);
        let vendor = vendor(row, &self.vendor_column, row.cell(self.vendor), found);
        let mut attributes = Attributes::new();
        let texts = [
            ("type", self.kind),
            ("product_category", self.product_category),
            ("seo_title", self.seo_title),
            ("seo_description", self.seo_description),
        ];
        for (key, place) in texts {
            let text = row.cell(place);
            if !text.is_empty() {
                attributes.insert(key.to_owned(), text.into());
            }
        }
        let categories = self.category_title(row, &tags).map(CategoryName::Title).into_iter().collect();
        let (status, hidden) = self.status(row, found);
        Head {
            title: row.cell(Some(self.title)).to_owned(),
            description: self.body.map(|place| row.cell(Some(place)).to_owned()),
            status,
            vendor,
            tags,
            attributes,
            categories,
            hidden,
            weight_grams: None,
        }
    }

    /// The category is the type. Without a type it is the last part of the standard category, and without
    /// that the first tag, because small shops sort their goods by tags.
    fn category_title(&self, row: &Row, tags: &[String]) -> Option<String> {
        let standard = row.cell(self.product_category).rsplit('>').next().unwrap_or_default().trim();
        let candidates = [row.cell(self.kind), standard, tags.first().map_or("", String::as_str)];
        candidates.into_iter().find(|title| !title.is_empty()).map(str::to_owned)
    }

    /// Of the columns that hide a product the strictest counts. The second value says which it was.
    fn status(&self, row: &Row, found: &mut Findings) -> (Option<ProductStatus>, Option<LineError>) {
        let (status, published) = (row.cell(self.status), row.cell(self.published));
        let because = |column: &str, text: &str| Some(error(row, column, format!("is {text}")));
        let not_known = |column: &str, text: &str, found: &mut Findings| {
            let message = format!("{text:?} is not understood, so the product is hidden");
            found.warn(WarningKind::UnknownStatus, error(row, column, message));
            (Some(ProductStatus::Draft), because(column, text))
        };
        let by_status = match status.to_lowercase().as_str() {
            "" => (None, None),
            "active" => (Some(ProductStatus::Active), None),
            "archived" => (Some(ProductStatus::Archived), because(&self.status_column, status)),
            // An unlisted product is active, but no list shows it.
            "draft" | "unlisted" => (Some(ProductStatus::Draft), because(&self.status_column, status)),
            _ => not_known(&self.status_column, status, found),
        };
        if by_status.1.is_some() {
            return by_status;
        }
        match published.to_lowercase().as_str() {
            "" => {}
            "true" | "yes" | "1" => {
                let (status, hidden) = self.by_markets(row, found);
                return (status.or(Some(ProductStatus::Active)), hidden);
            }
            "false" | "no" | "0" => {
                return (Some(ProductStatus::Draft), because(&self.published_column, published));
            }
            _ => return not_known(&self.published_column, published, found),
        }
        match self.by_markets(row, found) {
            (None, _) => by_status,
            hidden => hidden,
        }
    }

    /// A product that no market includes is hidden.
    fn by_markets(&self, row: &Row, found: &mut Findings) -> (Option<ProductStatus>, Option<LineError>) {
        let is_excluded = |place: usize| row.cell(Some(place)).eq_ignore_ascii_case("false");
        let excluded: Vec<&String> =
            self.markets.iter().filter(|(place, _)| is_excluded(*place)).map(|(_, name)| name).collect();
        let Some(first) = excluded.first() else { return (None, None) };
        let place = error(row, first, "is FALSE");
        if excluded.len() == self.markets.len() {
            return (Some(ProductStatus::Draft), Some(place));
        }
        found.warn(WarningKind::PartlyVisible, place);
        (None, None)
    }

    fn variant(
        &self,
        row: &Row,
        option_names: Option<&[String]>,
        found: &mut Findings,
    ) -> Option<LineVariant> {
        let before = found.errors.len();
        let options = self.options(row, option_names, &mut found.errors);
        let parse = |text: &str| self.prices.parse(text);
        let price = parse(row.cell(Some(self.price)))
            .map_err(|message| found.errors.push(error(row, &self.columns.price, message)))
            .ok();
        let compare_at_price = self.compare_at.map(|place| {
            let text = row.cell(Some(place));
            let price = compare_at_price(row, &self.columns.compare_at_price, text, parse, found);
            // Shopify writes 0 for "none".
            price.filter(|price| price.amount_minor > 0)
        });
        let stock = units(row, &self.columns.stock, row.cell(self.quantity), found);
        let details = self.details.read(row, self.prices, found);
        let sku = Some(row.cell(self.sku).trim_start_matches('\'')).filter(|sku| !sku.is_empty());
        if found.errors.len() > before {
            return None;
        }
        Some(LineVariant {
            sku: sku.map(str::to_owned),
            options,
            price: price?,
            compare_at_price,
            active: None,
            stock,
            details,
        })
    }

    /// The names are only on the first line of a product. A product without options has the one value
    /// "Default Title". `known_names` are `None` if that line is broken.
    fn options(
        &self,
        row: &Row,
        known_names: Option<&[String]>,
        errors: &mut Vec<LineError>,
    ) -> Vec<(String, String)> {
        let mut options = Vec::new();
        let places = self.option_names.iter().zip(&self.option_values).zip(&self.option_columns).enumerate();
        for (at, ((name_place, value_place), (name_column, value_column))) in places {
            let own_name = row.cell(*name_place);
            let known_name = known_names.and_then(|names| names.get(at)).map_or("", String::as_str);
            let name = if own_name.is_empty() { known_name } else { own_name };
            let value = row.cell(*value_place);
            match (name, value) {
                ("", "") => {}
                (name, "Default Title") if name.is_empty() || name == "Title" => {}
                ("", _) if known_names.is_none() => {}
                ("", _) => errors.push(error(row, name_column, "is empty, but there is a value")),
                (_, "") => {
                    errors.push(error(row, value_column, format!("is empty: choose a value for {name}")))
                }
                (name, value) => options.push((name.to_owned(), value.to_owned())),
            }
        }
        options
    }

    fn images(&self, row: &Row, found: &mut Findings) -> Vec<LineImage> {
        let mut images = Vec::new();
        let src = row.cell(self.image_src);
        if !src.is_empty() {
            let position = row.cell(self.image_position).parse().ok();
            images.push(image(row, &self.columns.image_url, src, row.cell(self.image_alt), position, found));
        }
        let of_variant = row.cell(self.variant_image);
        if !of_variant.is_empty() && of_variant != src {
            images.push(image(row, "Variant Image", of_variant, "", None, found));
        }
        images
    }
}
