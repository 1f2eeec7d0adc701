//! The limits of a cart. Tests compare the CHECK of `cart_items` and the maxima in the API's spec with them.

/// The most units of one variant in a cart.
pub const QUANTITY_MAX: i64 = 999;

/// The most different variants in a cart.
pub const ITEMS_MAX: usize = 100;
