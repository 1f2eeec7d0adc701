//! Limits on everything, so that one product cannot make a list slow.

/// The most characters of a product's title.
pub const TITLE_CHARS_MAX: usize = 255;
/// The most bytes of a description, before it is sanitised.
pub const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// The most characters of a vendor.
pub const VENDOR_CHARS_MAX: usize = 255;
/// The most tags of a product. As in Shopify, like their length.
pub const TAGS_PER_PRODUCT_MAX: usize = 250;
/// The most characters of a tag.
pub const TAG_CHARS_MAX: usize = 255;
/// The most bytes of a product's attributes as JSON.
pub const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
/// The most categories of a product.
pub const CATEGORIES_PER_PRODUCT_MAX: usize = 20;
/// The most images of a product, as in Shopify.
pub const IMAGES_PER_PRODUCT_MAX: usize = 250;
/// The most bytes of an image's URL.
pub const IMAGE_URL_BYTES_MAX: usize = 2048;
/// The most characters of an image's alternative text.
pub const IMAGE_ALT_CHARS_MAX: usize = 512;
/// The most bytes of an uploaded image.
pub const IMAGE_FILE_BYTES_MAX: usize = 20 * 1024 * 1024;
/// The most pixels of an uploaded image. Images of a camera with 24 megapixels are accepted.
pub const IMAGE_PIXELS_MAX: u64 = 25_000_000;
/// The most variants of a product, active or not. As in Shopify.
pub const VARIANTS_PER_PRODUCT_MAX: usize = 2048;
/// The most options of a product, such as Size, Color and Material.
pub const OPTIONS_PER_PRODUCT_MAX: usize = 3;
/// The most characters of an option's name, such as Size. As in Shopify, like those of its value and of a SKU.
pub const OPTION_NAME_CHARS_MAX: usize = 255;
/// The most characters of an option's value, such as Large.
pub const OPTION_VALUE_CHARS_MAX: usize = 255;
/// The most characters of a SKU.
pub const SKU_CHARS_MAX: usize = 255;
/// The most characters of a barcode.
pub const BARCODE_CHARS_MAX: usize = 255;
/// The highest weight of a unit in grams: 100 tonnes.
pub const WEIGHT_GRAMS_MAX: i32 = 100_000_000;
/// The highest price in minor units.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;
/// The most characters of a product's slug.
pub const PRODUCT_SLUG_CHARS_MAX: usize = 255;
/// The most levels of the category tree.
pub const CATEGORY_LEVELS_MAX: usize = 8;
/// The most characters of a category's title.
pub const CATEGORY_TITLE_CHARS_MAX: usize = 200;
/// The most characters of a category's slug.
pub const CATEGORY_SLUG_CHARS_MAX: usize = 120;
/// The most bytes of a category's description, before it is sanitised.
pub const CATEGORY_DESCRIPTION_BYTES_MAX: usize = 16 * 1024;
/// The most characters of a search text.
pub const QUERY_CHARS_MAX: usize = 200;
