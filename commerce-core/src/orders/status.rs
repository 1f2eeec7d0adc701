//! The order's state machine, and the statuses that are derived from money and deliveries. Pure.

use crate::text_enum::text_enum;

text_enum! {
    /// Where an order stands.
    pub enum OrderStatus {
        /// It waits for money; its stock is reserved until it expires.
        PendingPayment = "pending_payment",
        /// It is paid and waits to be packed.
        Paid = "paid",
        /// Staff are packing it.
        Processing = "processing",
        /// It is on its way.
        Shipped = "shipped",
        /// It arrived.
        Delivered = "delivered",
        /// It was cancelled; only money that comes in late can bring it back.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// Where an order came from.
    pub enum OrderSource {
        /// A shopper's cart.
        Cart = "cart",
        /// Staff took it down, by phone for example.
        Staff = "staff",
    }
}

text_enum! {
    /// What an order's payments and refunds amount to.
    pub enum PaymentStatus {
        /// Nothing was paid.
        Unpaid = "unpaid",
        /// Less than the total was paid.
        PartiallyPaid = "partially_paid",
        /// The total was paid.
        Paid = "paid",
        /// More than the total came in and was not given back yet.
        Overpaid = "overpaid",
        /// A part of what was paid went back.
        PartiallyRefunded = "partially_refunded",
        /// All that was paid went back.
        Refunded = "refunded",
    }
}

text_enum! {
    /// How much of an order is on its way.
    pub enum FulfillmentStatus {
        /// Nothing has left.
        Unfulfilled = "unfulfilled",
        /// Some of it has left.
        Partial = "partial",
        /// All of it has left.
        Fulfilled = "fulfilled",
        /// All of it arrived.
        Delivered = "delivered",
        /// It came back.
        Returned = "returned",
    }
}

text_enum! {
    /// Why an order was cancelled.
    pub enum CancelReason {
        /// It was not paid in time.
        Expired = "expired",
        /// A payment was refused, where the shop cancels for that.
        PaymentFailed = "payment_failed",
        /// The shopper changed their mind.
        Customer = "customer",
        /// Staff cancelled it.
        Admin = "admin",
    }
}

/// The order's state does not allow the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from} cannot become {to}")]
pub struct TransitionError {
    /// The status that the order has.
    pub from: OrderStatus,
    /// The status that it was to get.
    pub to: OrderStatus,
}

impl OrderStatus {
    /// Whether the step exists. Reinstating a cancelled order is a step of its own, with rules of its own.
    pub fn allows(self, to: OrderStatus) -> bool {
        use OrderStatus::*;
        matches!(
            (self, to),
            (PendingPayment, Paid | Cancelled)
                | (Paid, Processing | Shipped | Cancelled)
                | (Processing, Shipped | Cancelled)
                | (Shipped, Delivered)
        )
    }

    /// `Ok` if the step exists.
    pub fn check(self, to: OrderStatus) -> Result<(), TransitionError> {
        if self.allows(to) { Ok(()) } else { Err(TransitionError { from: self, to }) }
    }
}

/// What the sums say. Giving back what came in beyond the total leaves an order paid; giving back more makes it (partially)
/// refunded.
pub fn derive_payment_status(total_minor: i64, paid_minor: i64, refunded_minor: i64) -> PaymentStatus {
    let kept = paid_minor - refunded_minor;
    if paid_minor == 0 {
        if total_minor == 0 { PaymentStatus::Paid } else { PaymentStatus::Unpaid }
    } else if kept == 0 {
        PaymentStatus::Refunded
    } else if kept > total_minor {
        PaymentStatus::Overpaid
    } else if kept == total_minor {
        PaymentStatus::Paid
    } else if refunded_minor > 0 {
        PaymentStatus::PartiallyRefunded
    } else {
        PaymentStatus::PartiallyPaid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_these_and_no_others() {
        use OrderStatus::*;
        let steps: Vec<_> = OrderStatus::ALL
            .iter()
            .flat_map(|from| OrderStatus::ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from.allows(*to))
            .collect();
        assert_eq!(
            steps,
            [
                (PendingPayment, Paid),
                (PendingPayment, Cancelled),
                (Paid, Processing),
                (Paid, Shipped),
                (Paid, Cancelled),
                (Processing, Shipped),
                (Processing, Cancelled),
                (Shipped, Delivered),
            ]
        );
    }

    #[test]
    fn payment_status_follows_the_sums() {
        use PaymentStatus::*;
        for (total, paid, refunded, status) in [
            (100, 0, 0, Unpaid),
            (0, 0, 0, Paid),
            (100, 40, 0, PartiallyPaid),
            (100, 40, 40, Refunded),
            (100, 100, 0, Paid),
            (100, 150, 0, Overpaid),
            (100, 150, 50, Paid),
            (100, 150, 20, Overpaid),
            (100, 100, 30, PartiallyRefunded),
            (100, 100, 100, Refunded),
        ] {
            assert_eq!(derive_payment_status(total, paid, refunded), status, "{total} {paid} {refunded}");
        }
    }
}
