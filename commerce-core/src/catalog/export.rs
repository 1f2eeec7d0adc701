//! Products as a CSV file that [`super::import`] can read.
//!
//! The native layout has everything that an import can read. If the file is imported into the same shop,
//! nothing changes; if it is imported into an empty shop, it creates the same products. Shopify's layout has
//! what Shopify's columns can hold. Neither contains products without a variant, uploaded images (they stay
//! with their product), or the tree of categories.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::import::{Layout, details, keys_of_products, native};
use super::product::{Attributes, Audience, Image, Product, ProductStatus, Variant};
use super::read_product::{ProductRow, with_parts};
use super::write_category::title_slug;
use crate::ids::{CategoryId, LocationId, ProductId, VariantId};
use crate::money::Money;
use crate::schema::{categories, products, stock_levels};
use crate::spreadsheet;
use crate::text_enum::text_enum;

text_enum! {
    /// The columns of an export.
    pub enum ExportLayout {
        /// Everything that an import can read.
        Native = "native",
        /// What Shopify's columns can hold.
        Shopify = "shopify",
    }
}

const PRODUCTS_AT_ONCE: i64 = 200;

/// A running export: [`ProductExport::header`] first, then [`ProductExport::next_rows`] until it returns
/// `None`.
#[derive(Debug)]
pub struct ProductExport {
    layout: ExportLayout,
    /// The stock in the file is what this location has on hand.
    location: LocationId,
    /// Attributes with a column of their own. The others share one column, as JSON.
    attribute_columns: Vec<String>,
    last: Option<ProductId>,
}

/// Attributes that are a plain text in every product, so that a cell can hold them as they are.
const PLAIN_ATTRIBUTES: &str = "
    SELECT min(entry.key) AS name
    FROM commerce.products AS product, jsonb_each(product.attributes) AS entry,
         -- What an import trims. The server's own classes of characters depend on the locale.
         (VALUES ('^[^\\s\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
                  || '(.*[^\\s\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000])?$'))
             AS trimmed (pattern)
    GROUP BY lower(entry.key)
    HAVING count(DISTINCT entry.key) = 1 AND min(entry.key) ~ min(trimmed.pattern)
       AND bool_and(jsonb_typeof(entry.value) = 'string' AND entry.value #>> '{}' ~ trimmed.pattern)
    ORDER BY 1";

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

/// What a batch needs beside its products.
struct Context {
    on_hand: HashMap<VariantId, i64>,
    categories: HashMap<CategoryId, CategoryText>,
    /// The keys that Shopify has for products, where they are not the slugs.
    keys: HashMap<ProductId, String>,
}

struct CategoryText {
    title: String,
    slug: String,
}

impl CategoryText {
    /// Whether an import into an empty shop makes the same category from the title alone.
    fn is_plain(&self) -> bool {
        title_slug(&self.title) == self.slug && !self.title.contains('|') && !self.title.starts_with('[')
    }
}

impl ProductExport {
    /// Finds out which columns the file needs. `location` is the location whose stock is exported.
    pub async fn begin(
        conn: &mut AsyncPgConnection,
        layout: ExportLayout,
        location: LocationId,
    ) -> QueryResult<Self> {
        let rows: Vec<NameRow> = match layout {
            ExportLayout::Native => diesel::sql_query(PLAIN_ATTRIBUTES).load(conn).await?,
            ExportLayout::Shopify => Vec::new(),
        };
        let attribute_columns = rows.into_iter().map(|row| row.name).collect();
        Ok(Self { layout, location, attribute_columns, last: None })
    }

    /// The first line.
    pub fn header(&self) -> String {
        let names: Vec<String> = match self.layout {
            ExportLayout::Native => {
                let own = self.attribute_columns.iter().map(|name| format!("attribute:{name}"));
                let columns = native::COLUMNS.into_iter().chain(details::NATIVE);
                columns.map(str::to_owned).chain(own).collect()
            }
            ExportLayout::Shopify => SHOPIFY_COLUMNS.into_iter().map(str::to_owned).collect(),
        };
        csv_lines([names])
    }

    /// The lines of the next products, sorted by age. `None` after the last.
    pub async fn next_rows(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<Option<String>> {
        let mut query = products::table
            .order(products::id)
            .limit(PRODUCTS_AT_ONCE)
            .select(ProductRow::as_select())
            .into_boxed();
        if let Some(last) = self.last {
            query = query.filter(products::id.gt(last));
        }
        let rows = query.load(conn).await?;
        let batch = with_parts(conn, rows, Audience::Staff).await?;
        let Some(last) = batch.last() else { return Ok(None) };
        self.last = Some(last.id);
        let context = self.context(conn, &batch).await?;
        let rows = batch.iter().flat_map(|product| self.product_rows(product, &context));
        Ok(Some(csv_lines(rows)))
    }

    async fn context(&self, conn: &mut AsyncPgConnection, batch: &[Product]) -> QueryResult<Context> {
        let variants = batch.iter().flat_map(|product| &product.variants).map(|variant| variant.id);
        let on_hand: Vec<(VariantId, i64)> = stock_levels::table
            .filter(stock_levels::location_id.eq(self.location))
            .filter(stock_levels::variant_id.eq_any(variants))
            .select((stock_levels::variant_id, stock_levels::on_hand))
            .load(conn)
            .await?;
        let ids = batch.iter().flat_map(|product| product.category_ids.iter().copied());
        let categories: Vec<(CategoryId, String, String)> = categories::table
            .filter(categories::id.eq_any(ids))
            .select((categories::id, categories::title, categories::slug))
            .load(conn)
            .await?;
        let ids: Vec<ProductId> = batch.iter().map(|product| product.id).collect();
        let keys = match self.layout {
            ExportLayout::Native => HashMap::new(),
            ExportLayout::Shopify => keys_of_products(conn, Layout::Shopify, &ids).await?,
        };
        Ok(Context {
            on_hand: on_hand.into_iter().collect(),
            categories: categories
                .into_iter()
                .map(|(id, title, slug)| (id, CategoryText { title, slug }))
                .collect(),
            keys,
        })
    }

    /// A line for each variant and for each image. A line has both as long as there are both. The facts about
    /// the product are in the first line.
    fn product_rows(&self, product: &Product, context: &Context) -> Vec<Vec<String>> {
        if product.variants.is_empty() {
            return Vec::new();
        }
        let lines = product.variants.len().max(links(product).count());
        (0..lines)
            .map(|line| match self.layout {
                ExportLayout::Native => self.native_row(product, line, context),
                ExportLayout::Shopify => shopify_row(product, line, context),
            })
            .collect()
    }

    fn native_row(&self, product: &Product, line: usize, context: &Context) -> Vec<String> {
        let head = (line == 0).then_some(product);
        let variant = product.variants.get(line);
        let image = links(product).nth(line);
        let of_head = |text: fn(&Product) -> String| head.map(text).unwrap_or_default();
        let of_variant = |text: &dyn Fn(&Variant) -> String| variant.map(text).unwrap_or_default();
        let mut cells = vec![
            product.slug.clone(),
            of_head(|product| product.title.clone()),
            of_head(|product| product.description.clone()),
            of_head(|product| product.status.to_string()),
            of_head(|product| product.vendor.clone().unwrap_or_default()),
            of_head(|product| product.tags.join(", ")),
            head.map(|product| categories_cell(product, context)).unwrap_or_default(),
            of_variant(&|variant| options_cell(product, variant)),
            of_variant(&|variant| variant.sku.clone().unwrap_or_default()),
            of_variant(&|variant| decimal(variant.price)),
            of_variant(&|variant| variant.compare_at_price.map(decimal).unwrap_or_default()),
            of_variant(&|variant| variant.price.currency.to_string()),
            of_variant(&|variant| context.units(variant)),
            of_variant(&|variant| variant.active.to_string()),
            image.map(|image| image.url.clone()).unwrap_or_default(),
            image.map(|image| image.alt.clone()).unwrap_or_default(),
            head.map(|product| self.other_attributes(product)).unwrap_or_default(),
        ];
        cells.extend(variant.map_or(Default::default(), |variant| native_details(product, variant)));
        cells.extend(self.attribute_columns.iter().map(|name| text_attribute(head, name)));
        cells
    }

    /// The attributes without a column of their own.
    fn other_attributes(&self, product: &Product) -> String {
        let others: Attributes = product
            .attributes
            .iter()
            .filter(|(name, _)| !self.attribute_columns.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if others.is_empty() { String::new() } else { Value::Object(others).to_string() }
    }
}

/// The images that a file can name. An uploaded image belongs to this shop alone, and an import leaves it
/// where it is.
fn links(product: &Product) -> impl Iterator<Item = &Image> {
    product.images.iter().filter(|image| !image.is_uploaded())
}

impl Context {
    fn units(&self, variant: &Variant) -> String {
        self.on_hand.get(&variant.id).copied().unwrap_or(0).to_string()
    }
}

/// Titles separated by `|`, or JSON pairs of titles and slugs if the titles alone do not say it.
fn categories_cell(product: &Product, context: &Context) -> String {
    let ids = product.category_ids.iter();
    let mut categories: Vec<&CategoryText> = ids.filter_map(|id| context.categories.get(id)).collect();
    categories.sort_unstable_by_key(|category| (&category.title, &category.slug));
    if categories.iter().all(|category| category.is_plain()) {
        let titles: Vec<&str> = categories.iter().map(|category| category.title.as_str()).collect();
        return titles.join("|");
    }
    let pairs: Vec<(&str, &str)> =
        categories.iter().map(|category| (category.title.as_str(), category.slug.as_str())).collect();
    serde_json::json!(pairs).to_string()
}

/// `Size=S; Color=Blue`, or JSON pairs if a name or value itself contains such a sign.
fn options_cell(product: &Product, variant: &Variant) -> String {
    let pairs: Vec<(&str, &str)> = product
        .option_names
        .iter()
        .filter_map(|name| Some((name.as_str(), variant.options.get(name)?.as_str())))
        .collect();
    let is_plain = |text: &str| !text.contains([';', '=', '[']);
    if pairs.iter().all(|(name, value)| is_plain(name) && is_plain(value)) {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    } else {
        serde_json::json!(pairs).to_string()
    }
}

fn decimal(price: Money) -> String {
    price.to_string().split(' ').next().unwrap_or_default().to_owned()
}

fn text_attribute(product: Option<&Product>, name: &str) -> String {
    let value = product.and_then(|product| product.attributes.get(name));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

const SHOPIFY_COLUMNS: [&str; 35] = [
    "Handle",
    "Title",
    "Body (HTML)",
    "Vendor",
    "Product Category",
    "Type",
    "Tags",
    "Published",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Option3 Name",
    "Option3 Value",
    "Variant SKU",
    "Variant Grams",
    "Variant Inventory Tracker",
    "Variant Inventory Qty",
    "Variant Inventory Policy",
    "Variant Fulfillment Service",
    "Variant Price",
    "Variant Compare At Price",
    "Variant Requires Shipping",
    "Variant Taxable",
    "Variant Barcode",
    "Image Src",
    "Image Position",
    "Image Alt Text",
    "Gift Card",
    "SEO Title",
    "SEO Description",
    "Variant Image",
    "Variant Weight Unit",
    "Cost per item",
    "Status",
];

fn shopify_row(product: &Product, line: usize, context: &Context) -> Vec<String> {
    let head = (line == 0).then_some(product);
    let variant = product.variants.get(line);
    let image = links(product).nth(line);
    let of_head = |text: &dyn Fn(&Product) -> String| head.map(text).unwrap_or_default();
    let of_variant = |text: &dyn Fn(&Variant) -> String| variant.map(text).unwrap_or_default();
    let fixed = |text: &'static str| variant.map(|_| text.to_owned()).unwrap_or_default();
    let mut cells = vec![
        context.keys.get(&product.id).unwrap_or(&product.slug).clone(),
        of_head(&|product| product.title.clone()),
        of_head(&|product| product.description.clone()),
        of_head(&|product| product.vendor.clone().unwrap_or_default()),
        text_attribute(head, "product_category"),
        of_head(&|product| shopify_type(product, context)),
        of_head(&|product| product.tags.join(", ")),
        of_head(&|product| (product.status == ProductStatus::Active).to_string()),
    ];
    for at in 0..3 {
        let (name, value) = shopify_option(product, variant, at);
        cells.extend([if line == 0 { name } else { String::new() }, value]);
    }
    cells.extend([
        of_variant(&|variant| variant.sku.clone().unwrap_or_default()),
        of_variant(&weight),
        of_variant(&|variant| {
            if variant.details.track_inventory { "shopify".to_owned() } else { String::new() }
        }),
        of_variant(&|variant| context.units(variant)),
        of_variant(&|variant| if continues_selling(variant) { "continue" } else { "deny" }.to_owned()),
        fixed("manual"),
        of_variant(&|variant| decimal(variant.price)),
        of_variant(&|variant| variant.compare_at_price.map(decimal).unwrap_or_default()),
        of_variant(&|variant| variant.details.requires_shipping.to_string()),
        of_variant(&|variant| variant.details.taxable.to_string()),
        of_variant(&barcode),
        image.map(|image| image.url.clone()).unwrap_or_default(),
        image.map(|_| (line + 1).to_string()).unwrap_or_default(),
        image.map(|image| image.alt.clone()).unwrap_or_default(),
        fixed("false"),
        text_attribute(head, "seo_title"),
        text_attribute(head, "seo_description"),
        of_variant(&|variant| linked_image(product, variant)),
        fixed("g"),
        of_variant(&cost),
        of_head(&|product| product.status.to_string()),
    ]);
    cells
}

/// The cells of [`details::NATIVE`].
fn native_details(product: &Product, variant: &Variant) -> [String; details::NATIVE.len()] {
    [
        variant.details.track_inventory.to_string(),
        continues_selling(variant).to_string(),
        weight(variant),
        variant.details.requires_shipping.to_string(),
        variant.details.taxable.to_string(),
        barcode(variant),
        cost(variant),
        linked_image(product, variant),
    ]
}

fn continues_selling(variant: &Variant) -> bool {
    variant.staff.as_ref().is_some_and(|staff| staff.continue_selling)
}

fn weight(variant: &Variant) -> String {
    variant.details.weight_grams.map(|grams| grams.to_string()).unwrap_or_default()
}

fn barcode(variant: &Variant) -> String {
    variant.details.barcode.clone().unwrap_or_default()
}

fn cost(variant: &Variant) -> String {
    variant.staff.as_ref().and_then(|staff| staff.cost).map(decimal).unwrap_or_default()
}

/// The variant's image, if a file can name it.
fn linked_image(product: &Product, variant: &Variant) -> String {
    let is_own = |image: &&Image| Some(&image.url) == variant.details.image_url.as_ref();
    links(product).find(is_own).map(|image| image.url.clone()).unwrap_or_default()
}

/// Shopify has one type for each product, which is the category here.
fn shopify_type(product: &Product, context: &Context) -> String {
    match text_attribute(Some(product), "type") {
        own if !own.is_empty() => own,
        _ => {
            let category = product.category_ids.iter().find_map(|id| context.categories.get(id));
            category.map(|category| category.title.clone()).unwrap_or_default()
        }
    }
}

/// A product without options has the one value "Default Title".
fn shopify_option(product: &Product, variant: Option<&Variant>, at: usize) -> (String, String) {
    let Some(variant) = variant else { return Default::default() };
    match product.option_names.get(at) {
        Some(name) => (name.clone(), variant.options.get(name).cloned().unwrap_or_default()),
        None if at == 0 => ("Title".to_owned(), "Default Title".to_owned()),
        None => Default::default(),
    }
}

fn csv_lines(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Writing to memory cannot fail.
        let _ = writer.write_record(row.iter().map(|cell| spreadsheet::guarded(cell).into_owned()));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}
