//! Who may cancel which order. Pure: [`crate::flows::cancel_order`] asks it under the order's lock.

use super::{CancelReason, FulfillmentStatus, Order, OrderStatus};
use crate::accounts::Permission;
use crate::cart::Owner;

/// Who wants the order cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelledBy {
    /// Its shopper, until the shop begins to process it.
    Customer(Owner),
    /// The shop, until something of it was shipped.
    Admin,
}

impl CancelledBy {
    /// The reason that the order is cancelled for, if it can still be.
    pub(crate) fn reason(self, order: &Order) -> Option<CancelReason> {
        let (in_time, reason) = match self {
            Self::Customer(_) => {
                let in_time = matches!(order.status, OrderStatus::PendingPayment | OrderStatus::Paid);
                (in_time, CancelReason::Customer)
            }
            Self::Admin => (order.status.allows(OrderStatus::Cancelled), CancelReason::Admin),
        };
        let unshipped = order.fulfillment_status == FulfillmentStatus::Unfulfilled;
        (in_time && unshipped).then_some(reason)
    }
}

/// What staff need besides the permission to change orders: money that came in goes back, so whoever cancels refunds.
pub(crate) fn permission_to_cancel(order: &Order) -> Option<Permission> {
    (order.paid_minor > 0).then_some(Permission::PaymentsRefund)
}
