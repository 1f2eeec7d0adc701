//! Shopify's product CSV, with the column names of its older exports and then those of its newer ones.

use super::line::{
    Head, Line, LineImage, LineVariant, Reader, error, missing_column, parse_price, parse_units,
};
use super::table::{Header, Row};
use super::{Columns, LineError};
use crate::catalog::product::{Attributes, NewImage, ProductStatus};
use crate::money::Currency;

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

/// Whether the header is one of Shopify's.
pub(super) fn is_header_of(header: &Header) -> bool {
    header.place(HANDLE).is_some()
}

/// The places of the columns in one file.
struct Shopify {
    currency: Currency,
    columns: Columns,
    option_columns: [(String, String); 3],
    quantity_column: String,
    handle: usize,
    title: usize,
    price: usize,
    body: Option<usize>,
    vendor: Option<usize>,
    kind: Option<usize>,
    product_category: Option<usize>,
    tags: Option<usize>,
    status: Option<usize>,
    published: Option<usize>,
    option_names: [Option<usize>; 3],
    option_values: [Option<usize>; 3],
    sku: Option<usize>,
    quantity: Option<usize>,
    compare_at: Option<usize>,
    image_src: Option<usize>,
    image_position: Option<usize>,
    image_alt: Option<usize>,
    variant_image: Option<usize>,
    seo_title: Option<usize>,
    seo_description: Option<usize>,
}

pub(super) fn reader(header: &Header, currency: Currency) -> Result<Box<dyn Reader + Send>, Vec<LineError>> {
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
        currency,
        option_columns,
        quantity_column: columns.stock.clone(),
        columns,
        handle,
        title,
        price,
        body: header.place(BODY),
        vendor: header.place(VENDOR),
        kind: header.place(TYPE),
        product_category: header.place(PRODUCT_CATEGORY),
        tags: header.place(TAGS),
        status: header.place(STATUS),
        published: header.place(PUBLISHED),
        option_names: OPTION_NAMES.map(|column| header.place(column)),
        option_values: OPTION_VALUES.map(|column| header.place(column)),
        sku: header.place(SKU),
        quantity: header.place(QUANTITY),
        compare_at: header.place(COMPARE_AT),
        image_src: header.place(IMAGE_SRC),
        image_position: header.place(IMAGE_POSITION),
        image_alt: header.place(IMAGE_ALT),
        variant_image: header.place(VARIANT_IMAGE),
        seo_title: header.place(SEO_TITLE),
        seo_description: header.place(SEO_DESCRIPTION),
    }))
}

impl Reader for Shopify {
    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn handle<'a>(&self, cells: &'a [String]) -> Option<&'a str> {
        cells.get(self.handle).map(|cell| cell.trim())
    }

    fn read(&self, row: &Row, option_names: &[String]) -> Result<Line, Vec<LineError>> {
        let mut errors = Vec::new();
        if row.cell(Some(self.handle)).is_empty() {
            errors.push(error(row, &self.columns.slug, "is empty"));
        }
        let head = (!row.cell(Some(self.title)).is_empty()).then(|| self.head(row, &mut errors));
        // A line without price, SKU and option only adds an image.
        let has_variant = head.is_some()
            || [Some(self.price), self.sku]
                .iter()
                .chain(&self.option_values)
                .any(|c| !row.cell(*c).is_empty());
        let variant = has_variant.then(|| self.variant(row, option_names, &mut errors)).flatten();
        let images = self.images(row);
        if errors.is_empty() { Ok(Line { head, variant, images }) } else { Err(errors) }
    }
}

impl Shopify {
    fn head(&self, row: &Row, errors: &mut Vec<LineError>) -> Head {
        let tags: Vec<String> = split(row.cell(self.tags), ',');
        let mut attributes = Attributes::new();
        let texts = [
            ("vendor", self.vendor),
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
        let category_titles = self.category_title(row, &tags).into_iter().collect();
        if !tags.is_empty() {
            attributes.insert("tags".to_owned(), tags.into());
        }
        Head {
            title: row.cell(Some(self.title)).to_owned(),
            description: self.body.map(|place| row.cell(Some(place)).to_owned()),
            status: self.status(row, errors),
            attributes,
            category_titles,
        }
    }

    /// The category is the type. Without a type it is the last part of the standard category, and without
    /// that the first tag, because small shops sort their goods by tags.
    fn category_title(&self, row: &Row, tags: &[String]) -> Option<String> {
        let standard = row.cell(self.product_category).rsplit('>').next().unwrap_or_default().trim();
        let candidates = [row.cell(self.kind), standard, tags.first().map_or("", String::as_str)];
        candidates.into_iter().find(|title| !title.is_empty()).map(str::to_owned)
    }

    fn status(&self, row: &Row, errors: &mut Vec<LineError>) -> Option<ProductStatus> {
        let status = row.cell(self.status).to_lowercase();
        let published = row.cell(self.published).to_lowercase();
        match (status.as_str(), published.as_str()) {
            ("", "") => None,
            ("", "true" | "yes" | "1") => Some(ProductStatus::Active),
            ("", "false" | "no" | "0") => Some(ProductStatus::Draft),
            ("", _) => {
                errors.push(error(row, "Published", "is neither true nor false"));
                None
            }
            // Shopify's word for an active product that no list shows. It becomes a draft.
            ("unlisted", _) => Some(ProductStatus::Draft),
            (status, _) => match status.parse() {
                Ok(status) => Some(status),
                Err(message) => {
                    errors.push(error(row, "Status", message));
                    None
                }
            },
        }
    }

    fn variant(
        &self,
        row: &Row,
        option_names: &[String],
        errors: &mut Vec<LineError>,
    ) -> Option<LineVariant> {
        let before = errors.len();
        let options = self.options(row, option_names, errors);
        let price = parse_price(row.cell(Some(self.price)), self.currency)
            .map_err(|message| errors.push(error(row, &self.columns.price, message)))
            .ok();
        let compare_at_price = self.compare_at.map(|place| match row.cell(Some(place)) {
            "" => None,
            text => parse_price(text, self.currency)
                .map_err(|message| errors.push(error(row, &self.columns.compare_at_price, message)))
                .ok()
                // Shopify writes 0 for "none".
                .filter(|price| price.amount_minor > 0),
        });
        let stock = parse_units(row.cell(self.quantity)).unwrap_or_else(|message| {
            errors.push(error(row, &self.quantity_column, message));
            None
        });
        let sku = Some(row.cell(self.sku).trim_start_matches('\'')).filter(|sku| !sku.is_empty());
        if errors.len() > before {
            return None;
        }
        Some(LineVariant {
            sku: sku.map(str::to_owned),
            options,
            price: price?,
            compare_at_price,
            active: None,
            stock,
        })
    }

    /// The names are only on the first line of a product. A product without options has the one value
    /// "Default Title".
    fn options(
        &self,
        row: &Row,
        known_names: &[String],
        errors: &mut Vec<LineError>,
    ) -> Vec<(String, String)> {
        let mut options = Vec::new();
        let places = self.option_names.iter().zip(&self.option_values).zip(&self.option_columns).enumerate();
        for (at, ((name_place, value_place), (name_column, value_column))) in places {
            let own_name = row.cell(*name_place);
            let known_name = known_names.get(at).map_or("", String::as_str);
            let name = if own_name.is_empty() { known_name } else { own_name };
            let value = row.cell(*value_place);
            match (name, value) {
                ("", "") => {}
                (name, "Default Title") if name.is_empty() || name == "Title" => {}
                ("", _) => errors.push(error(row, name_column, "is empty, but there is a value")),
                (_, "") => {
                    errors.push(error(row, value_column, format!("is empty: choose a value for {name}")))
                }
                (name, value) => options.push((name.to_owned(), value.to_owned())),
            }
        }
        options
    }

    fn images(&self, row: &Row) -> Vec<LineImage> {
        let mut images = Vec::new();
        let src = row.cell(self.image_src);
        if !src.is_empty() {
            let image = NewImage { url: src.to_owned(), alt: row.cell(self.image_alt).to_owned() };
            images.push(LineImage { image, position: row.cell(self.image_position).parse().ok() });
        }
        let of_variant = row.cell(self.variant_image);
        if !of_variant.is_empty() && of_variant != src {
            let image = NewImage { url: of_variant.to_owned(), alt: String::new() };
            images.push(LineImage { image, position: None });
        }
        images
    }
}

fn split(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
