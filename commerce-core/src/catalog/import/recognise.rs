//! Files of other shops that no layout reads: whose they are, and what to rename in them.

use super::findings::LineError;
use super::table::Header;

/// A program whose export differs from Shopify's in the names of the columns.
struct Source {
    name: &'static str,
    /// Columns that only its files have.
    marks: &'static [&'static str],
    /// Its columns, and the names of the same ones in Shopify's layout.
    renames: &'static [(&'static str, &'static str)],
    /// What is to be done in the cells.
    cells: &'static str,
}

const SOURCES: [Source; 3] = [
    Source {
        name: "Magento",
        marks: &["store_view_code", "attribute_set_code", "_attribute_set", "configurable_variations"],
        renames: &[
            ("url_key", "Handle"),
            ("name", "Title"),
            ("description", "Body (HTML)"),
            ("categories", "Type"),
            ("product_online", "Published"),
            ("status", "Published"),
            ("sku", "Variant SKU"),
            ("qty", "Variant Inventory Qty"),
            ("price", "Variant Price"),
            ("base_image", "Image Src"),
            ("base_image_label", "Image Alt Text"),
        ],
        cells: "In `Published`, write TRUE for 1 and FALSE for 2. Give the rows of one product the same handle",
    },
    Source {
        name: "PrestaShop",
        marks: &["active (0/1)", "price tax excluded", "price (tax excl.)", "reference #", "url rewritten"],
        renames: &[
            ("url rewritten", "Handle"),
            ("product id", "Handle"),
            ("name *", "Title"),
            ("name", "Title"),
            ("description", "Body (HTML)"),
            ("categories (x,y,z...)", "Type"),
            ("category", "Type"),
            ("active (0/1)", "Published"),
            ("status", "Published"),
            ("reference #", "Variant SKU"),
            ("reference", "Variant SKU"),
            ("quantity", "Variant Inventory Qty"),
            ("price tax included", "Variant Price"),
            ("price (tax incl.)", "Variant Price"),
            ("price tax excluded", "Variant Price"),
            ("price (tax excl.)", "Variant Price"),
            ("image urls (x,y,z...)", "Image Src"),
        ],
        cells: "Keep one of the two prices. Write one image and one category in a cell",
    },
    Source {
        name: "Squarespace",
        marks: &["product id [non editable]", "variant id [non editable]", "hosted image urls"],
        renames: &[
            ("product url", "Handle"),
            ("title", "Title"),
            ("description", "Body (HTML)"),
            ("categories", "Type"),
            ("visible", "Published"),
            ("option name 1", "Option1 Name"),
            ("option value 1", "Option1 Value"),
            ("option name 2", "Option2 Name"),
            ("option value 2", "Option2 Value"),
            ("option name 3", "Option3 Name"),
            ("option value 3", "Option3 Value"),
            ("sku", "Variant SKU"),
            ("stock", "Variant Inventory Qty"),
            ("price", "Variant Price"),
            ("hosted image urls", "Image Src"),
        ],
        cells: "Repeat the handle on each row of a product. Write one image in a cell",
    },
];

/// A translated export of WooCommerce has at least so many columns.
const TRANSLATED_COLUMNS_MIN: usize = 20;

/// What to say of a header that is of no layout. `None` if nothing is known of it.
pub(super) fn unknown_layout(header: &Header) -> Option<Vec<LineError>> {
    let of_file = |message: String| LineError { line: 1, column: String::new(), message };
    let is_native = header.has("slug") && header.has("title");
    if is_native {
        return None;
    }
    if let Some(source) = SOURCES.iter().find(|source| source.marks.iter().any(|mark| header.has(mark))) {
        let Source { name, renames, cells, .. } = source;
        let first = format!(
            "this is {name}'s product export, which is not read as it is. Rename the columns that are named \
             here; the file is then read as Shopify's, and other columns may stay. {cells}"
        );
        let mut errors = vec![of_file(first)];
        for (own, other) in renames.iter().filter(|(own, other)| header.has(own) && own != other) {
            let message = format!("is to be renamed to {other:?}");
            errors.push(LineError { line: 1, column: header.name(&[own]), message });
        }
        return Some(errors);
    }
    let has_metadata = header.columns().any(|(_, name)| name.starts_with("meta:"));
    let is_wide = header.names().len() >= TRANSLATED_COLUMNS_MIN;
    (has_metadata || is_wide && header.has("ID")).then(|| {
        let message = "the names of the columns are not understood. This may be WooCommerce's export in another \
                       language, which translates them: set the language of your WordPress account to English \
                       (United States) and export again";
        vec![of_file(message.to_owned())]
    })
}
