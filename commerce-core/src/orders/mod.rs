//! Orders: what was bought, the state machine and the timeline. Every change holds the order's row lock
//! ([`lock`]).

mod access;
mod cancellation;
mod fulfillment;
mod line_costs;
mod link;
mod list;
mod lock;
mod number;
mod order;
mod search;
mod status;
mod timeline;
mod units_by_line;

pub use crate::address::Address;
pub(crate) use access::ids_accessible;
pub use access::{Access, find_accessible};
pub use cancellation::CancelledBy;
pub(crate) use cancellation::permission_to_cancel;
pub use fulfillment::{FulfilledUnits, derive_fulfillment_status};
pub use line_costs::line_costs;
pub use link::{ORDER_LINK_TTL, derive_order_token, prune_links};
pub(crate) use link::{issue_link, link_expires_at};
#[cfg(feature = "testing")]
pub use list::explain_list;
pub use list::{ListOrdersError, OrderFilter, OrderSort, list};
pub(crate) use lock::{
    CancelledUnits, Received, cancel_units, count_returned, count_shipped, recount, update,
};
pub use lock::{LockedOrder, lock};
pub use number::{format_order_number, parse_order_number};
pub use order::{
    NewLine, NewOrder, NewOrderSource, Order, OrderLine, currencies, find, find_by_number, find_owned, lines,
};
pub(crate) use order::{ids_owned, insert, insert_line};
pub(crate) use search::Words;
pub use status::{
    CancelReason, FulfillmentStatus, OrderSource, OrderStatus, PaymentStatus, Sums, TransitionError,
    derive_payment_status,
};
pub use timeline::{EventKind, OrderEvent, events};
pub(crate) use timeline::{note, record, requested_capture, was_recorded};
pub(crate) use units_by_line::units_by_line;
