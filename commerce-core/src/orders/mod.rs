//! Orders: what was bought, its state machine and its timeline. Every change holds the order's row lock ([`lock`]).

mod list;
mod lock;
mod order;
mod status;
mod timeline;

pub use crate::address::Address;
pub use list::{ListOrdersError, OrderFilter, OrderSort, list};
pub use lock::{LockedOrder, lock};
pub(crate) use lock::{Received, update};
pub use order::{
    NewLine, NewOrder, NewOrderSource, Order, OrderLine, find, find_owned, insert, insert_line, lines,
    mark_shipped,
};
pub use status::{
    CancelReason, FulfillmentStatus, OrderSource, OrderStatus, PaymentStatus, TransitionError,
    derive_payment_status,
};
pub use timeline::{EventKind, OrderEvent, events, record};
