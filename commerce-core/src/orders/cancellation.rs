//! Who may cancel which order. Pure functions; [`crate::flows::cancel_order`] calls them under the order's
//! lock.

use super::{Access, CancelReason, FulfillmentStatus, Order, OrderStatus};
use crate::accounts::Permission;

/// Who cancels the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelledBy {
    /// The shopper, until the shop begins to process it.
    Customer(Access),
    /// The shop, until a part of it was shipped.
    Admin,
}

impl CancelledBy {
    /// The reason for the cancellation. `None` if the order can no longer be cancelled.
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

    /// Whether units can be cancelled that were not shipped: by the shop also after others were.
    pub(crate) fn may_cancel_part(self, order: &Order) -> bool {
        match self {
            Self::Customer(_) => self.reason(order).is_some(),
            Self::Admin => order.status.allows(OrderStatus::Cancelled),
        }
    }
}

/// The permission that staff need beside the one to change orders. If money has come in, cancelling refunds
/// it, so it needs the permission to refund.
pub(crate) fn permission_to_cancel(order: &Order) -> Option<Permission> {
    (order.paid_minor > 0).then_some(Permission::PaymentsRefund)
}

#[cfg(test)]
mod tests {
    use super::super::{OrderSource, PaymentStatus};
    use super::*;
    use crate::address::{Address, AddressFields};
    use crate::cart::TokenHash;
    use crate::ids::OrderId;
    use crate::money::Currency;

    fn order(status: OrderStatus, fulfillment_status: FulfillmentStatus, paid_minor: i64) -> Order {
        let shipping_address = Address::new(AddressFields {
            name: "Ada Lovelace".into(),
            line1: "12 St James's Square".into(),
            line2: None,
            city: Some("London".into()),
            region: None,
            postal_code: Some("SW1Y 4JH".into()),
            country: "GB".into(),
            phone: None,
        });
        let at = chrono::DateTime::UNIX_EPOCH;
        Order {
            id: OrderId::new(),
            number: 1001,
            source: OrderSource::Cart,
            user_id: None,
            email: "ada@example.com".parse().unwrap(),
            locale: None,
            status,
            payment_status: PaymentStatus::Unpaid,
            fulfillment_status,
            currency: Currency::USD,
            subtotal_minor: 100,
            discount_minor: 0,
            shipping_minor: 0,
            tax_minor: 0,
            tax_included_minor: 0,
            total_minor: 100,
            paid_minor,
            refunded_minor: 0,
            authorized_minor: 0,
            cancelled_minor: 0,
            kept_minor: 0,
            shipping_address: shipping_address.unwrap(),
            billing_address: None,
            cancel_reason: None,
            placed_at: at,
            expires_at: None,
            paid_at: None,
            cancelled_at: None,
            stock_released_at: None,
            updated_at: at,
            version: 1,
        }
    }

    #[test]
    fn a_customer_cancels_until_it_is_processed_and_the_shop_until_it_is_shipped() {
        use OrderStatus::*;
        let customer = CancelledBy::Customer(Access::Link(TokenHash::of("token")));
        let (for_customer, for_admin) =
            (&[PendingPayment, Paid][..], &[PendingPayment, Paid, Processing][..]);
        for (by, in_time, reason) in [
            (customer, for_customer, CancelReason::Customer),
            (CancelledBy::Admin, for_admin, CancelReason::Admin),
        ] {
            for status in OrderStatus::ALL {
                let expected = in_time.contains(status).then_some(reason);
                assert_eq!(
                    by.reason(&order(*status, FulfillmentStatus::Unfulfilled, 0)),
                    expected,
                    "{status}"
                );
                assert_eq!(by.reason(&order(*status, FulfillmentStatus::Partial, 0)), None, "{status}");
            }
        }
    }

    #[test]
    fn giving_money_back_by_cancelling_needs_the_permission_to_do_so() {
        let unpaid = order(OrderStatus::PendingPayment, FulfillmentStatus::Unfulfilled, 0);
        let begun = order(OrderStatus::PendingPayment, FulfillmentStatus::Unfulfilled, 1);
        assert_eq!(permission_to_cancel(&unpaid), None);
        assert_eq!(permission_to_cancel(&begun), Some(Permission::PaymentsRefund));
    }
}
