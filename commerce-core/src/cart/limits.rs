//! How much a cart takes. Tests hold the CHECK of `cart_items` and the maxima of the API's spec to these.

/// The most units of one variant in a cart.
pub const QUANTITY_MAX: i64 = 999;

/// The most different variants in a cart.
pub const ITEMS_MAX: usize = 100;
