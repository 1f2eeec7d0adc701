//! WooCommerce's product CSV, as its own exporter writes it in English. A variation refers to its parent by SKU
//! or `id:NUMBER`, and may stand anywhere in the file.

use super::Columns;
use super::findings::{Findings, LineError, WarningKind};
use super::line::{
    Head, Line, LineImage, LineVariant, Place, Reader, compare_at_price, error, image, missing_column, units,
    usable_tags,
};
use super::prices::Prices;
use super::table::{Header, Row};
use super::woocommerce_cells::{kind_of, list, paragraphs, text_with_lines};
use super::woocommerce_details::WooCommerceDetails;
use crate::catalog::category_names::CategoryName;
use crate::catalog::description;
use crate::catalog::product::{Attributes, ProductStatus, VariantPatch};
use crate::money::Money;

const ID: &[&str] = &["ID"];
const TYPE: &[&str] = &["Type"];
const SKU: &[&str] = &["SKU"];
const NAME: &[&str] = &["Name"];
const PUBLISHED: &[&str] = &["Published"];
const VISIBILITY: &[&str] = &["Visibility in catalog"];
const SHORT_DESCRIPTION: &[&str] = &["Short description"];
const DESCRIPTION: &[&str] = &["Description"];
const SALE_STARTS: &[&str] = &["Date sale price starts"];
const SALE_ENDS: &[&str] = &["Date sale price ends"];
const STOCK: &[&str] = &["Stock"];
const SALE_PRICE: &[&str] = &["Sale price"];
const REGULAR_PRICE: &[&str] = &["Regular price"];
const CATEGORIES: &[&str] = &["Categories"];
const TAGS: &[&str] = &["Tags"];
const IMAGES: &[&str] = &["Images"];
const PARENT: &[&str] = &["Parent"];
/// Whether the header is WooCommerce's, in English.
pub(super) fn is_header_of(header: &Header) -> bool {
    header.has("Name") && header.has("Regular price")
}

/// The places of the columns in one file.
struct WooCommerce {
    prices: Prices,
    columns: Columns,
    id: Option<usize>,
    kind: Option<usize>,
    sku: Option<usize>,
    name: usize,
    published: Option<usize>,
    visibility: Option<usize>,
    short_description: Option<usize>,
    description: Option<usize>,
    sale_starts: Option<usize>,
    sale_ends: Option<usize>,
    stock: Option<usize>,
    sale_price: Option<usize>,
    regular_price: usize,
    categories: Option<usize>,
    tags: Option<usize>,
    images: Option<usize>,
    parent: Option<usize>,
    details: WooCommerceDetails,
    /// The places of name and values, for each attribute.
    attributes: Vec<(usize, usize)>,
}

pub(super) fn reader(header: &Header, prices: Prices) -> Result<Box<dyn Reader + Send>, Vec<LineError>> {
    let (Some(name), Some(regular_price)) = (header.place(NAME), header.place(REGULAR_PRICE)) else {
        let missing = [NAME, REGULAR_PRICE].into_iter().filter(|column| header.place(column).is_none());
        return Err(missing.map(missing_column).collect());
    };
    let attribute = |number: usize| {
        let place = |of: &str| header.place(&[&format!("Attribute {number} {of}")]);
        Some((place("name")?, place("value(s)")?))
    };
    Ok(Box::new(WooCommerce {
        // A shop writes prices with its own decimal separator.
        prices: Prices { decimal_commas: true, ..prices },
        columns: Columns {
            slug: header.name(ID),
            title: header.name(NAME),
            description: header.name(DESCRIPTION),
            attributes: "Attribute 1 value(s)".to_owned(),
            categories: header.name(CATEGORIES),
            options: "Attribute 1 value(s)".to_owned(),
            sku: header.name(SKU),
            price: header.name(REGULAR_PRICE),
            compare_at_price: header.name(REGULAR_PRICE),
            stock: header.name(STOCK),
            image_url: header.name(IMAGES),
            image_alt: header.name(IMAGES),
        },
        id: header.place(ID),
        kind: header.place(TYPE),
        sku: header.place(SKU),
        name,
        published: header.place(PUBLISHED),
        visibility: header.place(VISIBILITY),
        short_description: header.place(SHORT_DESCRIPTION),
        description: header.place(DESCRIPTION),
        sale_starts: header.place(SALE_STARTS),
        sale_ends: header.place(SALE_ENDS),
        stock: header.place(STOCK),
        sale_price: header.place(SALE_PRICE),
        regular_price,
        categories: header.place(CATEGORIES),
        tags: header.place(TAGS),
        images: header.place(IMAGES),
        parent: header.place(PARENT),
        details: WooCommerceDetails::of(header),
        attributes: (1..).map_while(attribute).collect(),
    }))
}

impl Reader for WooCommerce {
    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    /// The ID, which is the same in the next export. Files of other programs may have SKUs only.
    fn key<'a>(&self, cells: &'a [String]) -> Option<&'a str> {
        let cell = |place: Option<usize>| place.and_then(|place| cells.get(place)).map(|cell| cell.trim());
        let candidates = [self.id, self.sku, Some(self.name)];
        candidates.into_iter().filter_map(cell).find(|text| !text.is_empty())
    }

    fn place(&self, cells: &[String]) -> Place {
        let cell =
            |place: Option<usize>| place.and_then(|place| cells.get(place)).map_or("", |cell| cell.trim());
        match kind_of(cell(self.kind)).as_str() {
            "" | "simple" => Place::Together,
            "variable" => {
                let id = Some(cell(self.id)).filter(|id| !id.is_empty()).map(|id| format!("id:{id}"));
                let sku = Some(cell(self.sku)).filter(|sku| !sku.is_empty()).map(str::to_owned);
                Place::Parent(id.into_iter().chain(sku).collect())
            }
            "variation" => Place::Child(cell(self.parent).to_owned()),
            kind => Place::LeftOut(format!("{:?} is of the type {kind}", cell(Some(self.name)))),
        }
    }

    fn read(&self, row: &Row, _option_names: Option<&[String]>, found: &mut Findings) -> Line {
        let images = self.images(row, found);
        match kind_of(row.cell(self.kind)).as_str() {
            "variation" => {
                let mut options = self.attributes(row);
                // A name without a value stands for any value.
                options.retain(|(name, _)| !name.is_empty());
                Line { variant: self.variant(row, options, found), images, ..Line::default() }
            }
            "variable" => Line { head: self.head(row, found), images, ..Line::default() },
            _ => {
                let head = self.head(row, found);
                Line {
                    variant: head.is_some().then(|| self.variant(row, Vec::new(), found)).flatten(),
                    head,
                    images,
                    gift_card: None,
                }
            }
        }
    }
}

impl WooCommerce {
    fn head(&self, row: &Row, found: &mut Findings) -> Option<Head> {
        let title = row.cell(Some(self.name));
        if title.is_empty() {
            found.errors.push(error(row, &self.columns.title, "is empty"));
            return None;
        }
        let (status, hidden) = self.status(row, found);
        let mut attributes: Attributes = self
            .attributes(row)
            .into_iter()
            .filter(|(name, values)| !name.is_empty() && !values.is_empty())
            .map(|(name, values)| (name, values.into()))
            .collect();
        let tags = usable_tags(row, "Tags", list(row.cell(self.tags)), found);
        let short = description::sanitise(&text_with_lines(row.cell(self.short_description)));
        if !short.is_empty() {
            attributes.insert("short_description".to_owned(), short.into());
        }
        // The SKU of a parent belongs to no variant.
        let sku = row.cell(self.sku);
        if kind_of(row.cell(self.kind)) == "variable" && !sku.is_empty() {
            attributes.insert("sku".to_owned(), sku.into());
        }
        let path = |text: String| {
            let titles = text.split('>').map(str::trim).filter(|title| !title.is_empty());
            CategoryName::Path(titles.map(str::to_owned).collect())
        };
        Some(Head {
            title: title.to_owned(),
            description: self.description.map(|place| paragraphs(&text_with_lines(row.cell(Some(place))))),
            status,
            vendor: None,
            tags,
            attributes,
            categories: list(row.cell(self.categories)).into_iter().map(path).collect(),
            hidden,
            // What cannot be read is told of with the variant.
            weight_grams: self.details.read(row, self.prices, &mut Findings::default()).weight_grams,
        })
    }

    /// Of the columns that hide a product the strictest counts.
    fn status(&self, row: &Row, found: &mut Findings) -> (Option<ProductStatus>, Option<LineError>) {
        let hidden = |column: &[&str], why: String| {
            let column = column.first().copied().unwrap_or_default();
            (Some(ProductStatus::Draft), Some(error(row, column, why)))
        };
        let published = row.cell(self.published);
        let by_published = match published {
            "" => None,
            "1" => Some(ProductStatus::Active),
            "0" => return hidden(PUBLISHED, "is 0, which is private".to_owned()),
            "-1" => return hidden(PUBLISHED, "is -1, which is a draft".to_owned()),
            "2" => return hidden(PUBLISHED, "is 2, which waits for a review".to_owned()),
            _ => {
                let message = format!("{published:?} is not understood, so the product is hidden");
                found.warn(WarningKind::UnknownStatus, error(row, "Published", message));
                return hidden(PUBLISHED, format!("is {published}"));
            }
        };
        let visibility = row.cell(self.visibility);
        match visibility {
            "" | "visible" => {}
            "catalog" | "search" => {
                let message = format!("is {visibility}");
                found.warn(WarningKind::PartlyVisible, error(row, "Visibility in catalog", message));
            }
            "hidden" => return hidden(VISIBILITY, "is hidden".to_owned()),
            _ => {
                let message = format!("{visibility:?} is not understood, so the product is hidden");
                found.warn(WarningKind::UnknownStatus, error(row, "Visibility in catalog", message));
                return hidden(VISIBILITY, format!("is {visibility}"));
            }
        }
        (by_published, None)
    }

    fn variant(
        &self,
        row: &Row,
        options: Vec<(String, String)>,
        found: &mut Findings,
    ) -> Option<LineVariant> {
        let (price, compare_at_price) = self.price(row, found)?;
        let stock = match row.cell(self.stock) {
            "parent" => {
                let message = "all variations share the units of their parent, which is not possible here";
                found.warn(WarningKind::UnreadableStock, error(row, &self.columns.stock, message));
                None
            }
            text => units(row, &self.columns.stock, text, found),
        };
        let sku = Some(row.cell(self.sku)).filter(|sku| !sku.is_empty()).map(str::to_owned);
        // A draft's variations are drafts too. It is the product that is hidden then.
        let is_private = row.cell(self.published) == "0" && kind_of(row.cell(self.kind)) == "variation";
        Some(LineVariant {
            sku,
            options,
            price,
            compare_at_price: Some(compare_at_price),
            active: self.published.map(|_| !is_private),
            stock,
            details: VariantPatch {
                image_url: self.image_of_variation(row),
                ..self.details.read(row, self.prices, found)
            },
        })
    }

    /// The price and the one to compare it with. Without a price WooCommerce does not sell. A sale that begins
    /// or ends some day would last for ever here.
    fn price(&self, row: &Row, found: &mut Findings) -> Option<(Money, Option<Money>)> {
        let column = &self.columns.price;
        let regular = row.cell(Some(self.regular_price));
        if regular.is_empty() {
            // A simple product is left out as a whole.
            if kind_of(row.cell(self.kind)) != "variation" {
                return None;
            }
            let message = "is empty, so WooCommerce does not sell it".to_owned();
            found.warn(WarningKind::NoPrice, error(row, column, message));
            return None;
        }
        let regular = match self.prices.parse(regular) {
            Ok(price) => price,
            Err(message) => {
                found.errors.push(error(row, column, message));
                return None;
            }
        };
        let is_scheduled =
            [self.sale_starts, self.sale_ends].iter().any(|place| !row.cell(*place).is_empty());
        let text = row.cell(self.sale_price);
        if is_scheduled && !text.is_empty() {
            let message = format!("{text} is for some time only");
            found.warn(WarningKind::ScheduledSale, error(row, "Sale price", message));
            return Some((regular, None));
        }
        let parse = |text: &str| self.prices.parse(text);
        let sale = compare_at_price(row, "Sale price", text, parse, found);
        Some(match sale {
            Some(sale) if sale.amount_minor < regular.amount_minor => (sale, Some(regular)),
            _ => (regular, None),
        })
    }

    /// The names and values of the attributes.
    fn attributes(&self, row: &Row) -> Vec<(String, String)> {
        let cell = |place: usize| row.cell(Some(place)).replace("\\,", ",");
        self.attributes.iter().map(|(name, values)| (cell(*name), cell(*values))).collect()
    }

    fn image_of_variation(&self, row: &Row) -> Option<Option<String>> {
        let is_variation = kind_of(row.cell(self.kind)) == "variation";
        let image = self.images(row, &mut Findings::default()).into_iter().next().filter(|_| is_variation);
        image.map(|image| Some(image.image.url))
    }

    fn images(&self, row: &Row, found: &mut Findings) -> Vec<LineImage> {
        let urls = list(row.cell(self.images));
        urls.iter().map(|url| image(row, &self.columns.image_url, url, "", None, found)).collect()
    }
}
