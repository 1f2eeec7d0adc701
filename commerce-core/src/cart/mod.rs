//! Carts, each owned by a user or by a guest with a Cart-Token. An owner has one open cart. Prices are
//! current until checkout.

mod change;
mod hold;
mod hold_limits;
mod item;
mod limits;
mod lock;
mod merge;
mod offer;
mod owner;
mod prune;
mod quote;
mod status;
mod view;

pub use change::{CartError, add_item, clear, remove_item, replace, set_quantity};
pub use hold_limits::HoldLimit;
pub(crate) use hold_limits::{OpenOrders, open_orders};
pub use item::Item;
pub use limits::{ITEMS_MAX, QUANTITY_MAX};
pub use lock::{CartItem, LockedCart, lock_open, lock_or_open};
pub(crate) use lock::{close, lock_row};
pub use merge::merge;
pub use offer::ItemProblem;
pub(crate) use offer::{Offer, offers_of, price_offers};
pub use owner::{Owner, TokenHash};
pub use prune::{GUEST_CARTS_KEPT, prune_guest_carts};
pub use quote::{Quote, QuotedItem, quote};
pub use status::CartStatus;
pub use view::{CartLine, CartView, ViewCartError, count_units, count_units_of, view};
