//! The limits of a cart. Tests compare the CHECK of `cart_items` and the maxima in the API's spec with them.

use std::time::Duration;

/// The time in which [`ShopSettings::cart_hold_max`](crate::settings::ShopSettings::cart_hold_max) is counted.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most units of one variant in a cart.
pub const QUANTITY_MAX: i64 = 999;

/// The most different variants in a cart.
pub const ITEMS_MAX: usize = 100;
