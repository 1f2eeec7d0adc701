//! A limit on everything, so that one product cannot make a list slow.

/// Characters of a product's title.
pub const TITLE_CHARS_MAX: usize = 255;
/// Bytes of a description, before it is sanitised.
pub const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a product's attributes as JSON.
pub const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
/// Categories that a product is in.
pub const CATEGORIES_PER_PRODUCT_MAX: usize = 20;
/// Images of a product.
pub const IMAGES_PER_PRODUCT_MAX: usize = 50;
/// Bytes of an image's address.
pub const IMAGE_URL_BYTES_MAX: usize = 2048;
/// Characters of the text that stands for an image.
pub const IMAGE_ALT_CHARS_MAX: usize = 500;
/// Bytes of an uploaded image.
pub const IMAGE_FILE_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Pixels of an uploaded image: one from a camera of 24 megapixels is taken.
pub const IMAGE_PIXELS_MAX: u64 = 25_000_000;
/// Variants of a product, active or not.
pub const VARIANTS_PER_PRODUCT_MAX: usize = 100;
/// Options of a product, such as Size, Color and Material.
pub const OPTIONS_PER_PRODUCT_MAX: usize = 3;
/// Characters of an option's name, such as Size.
pub const OPTION_NAME_CHARS_MAX: usize = 50;
/// Characters of an option's value, such as Large.
pub const OPTION_VALUE_CHARS_MAX: usize = 80;
/// Characters of a SKU.
pub const SKU_CHARS_MAX: usize = 100;
/// Minor units of a price.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;
/// Characters of a product's slug.
pub const PRODUCT_SLUG_CHARS_MAX: usize = 255;
/// Levels of the tree of categories.
pub const CATEGORY_LEVELS_MAX: usize = 8;
/// Characters of a category's title.
pub const CATEGORY_TITLE_CHARS_MAX: usize = 200;
/// Characters of a category's slug.
pub const CATEGORY_SLUG_CHARS_MAX: usize = 120;
/// Bytes of a category's description, before it is sanitised.
pub const CATEGORY_DESCRIPTION_BYTES_MAX: usize = 16 * 1024;
/// Characters of a text to search for.
pub const QUERY_CHARS_MAX: usize = 200;
