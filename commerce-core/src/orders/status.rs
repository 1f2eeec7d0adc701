//! The order's state machine, and the statuses that are derived from payments and deliveries. Pure functions.

use crate::text_enum::text_enum;

text_enum! {
    /// The status of an order.
    pub enum OrderStatus {
        /// It waits for a payment. Its stock is reserved until it expires.
        PendingPayment = "pending_payment",
        /// It is paid and waits for processing.
        Paid = "paid",
        /// Staff are processing it.
        Processing = "processing",
        /// It is on its way.
        Shipped = "shipped",
        /// It has arrived.
        Delivered = "delivered",
        /// It was cancelled. Only a late payment can restore it.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// Where an order came from.
    pub enum OrderSource {
        /// A shopper's cart.
        Cart = "cart",
        /// Staff entered it, for example for an order by phone.
        Staff = "staff",
    }
}

text_enum! {
    /// What an order's payments and refunds amount to.
    pub enum PaymentStatus {
        /// Nothing was paid.
        Unpaid = "unpaid",
        /// Providers hold what is due, and have not taken it yet.
        Authorized = "authorized",
        /// Less than the total was paid.
        PartiallyPaid = "partially_paid",
        /// The total was paid.
        Paid = "paid",
        /// More than the total came in, and the excess was not refunded yet.
        Overpaid = "overpaid",
        /// A part of the payments was refunded.
        PartiallyRefunded = "partially_refunded",
        /// All payments were refunded.
        Refunded = "refunded",
    }
}

text_enum! {
    /// How much of an order was shipped.
    pub enum FulfillmentStatus {
        /// Nothing was shipped.
        Unfulfilled = "unfulfilled",
        /// A part was shipped.
        Partial = "partial",
        /// Everything was shipped.
        Fulfilled = "fulfilled",
        /// Everything has arrived.
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
        /// A payment was refused, in a shop that cancels the order in this case.
        PaymentFailed = "payment_failed",
        /// The shopper cancelled it.
        Customer = "customer",
        /// Staff cancelled it.
        Admin = "admin",
    }
}

/// The order's status does not allow the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from} cannot become {to}")]
pub struct TransitionError {
    /// The present status.
    pub from: OrderStatus,
    /// The wanted status.
    pub to: OrderStatus,
}

impl OrderStatus {
    /// Whether the step is allowed. Restoring a cancelled order is a separate step with its own rules.
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

    /// `Ok` if the step is allowed.
    pub fn check(self, to: OrderStatus) -> Result<(), TransitionError> {
        if self.allows(to) { Ok(()) } else { Err(TransitionError { from: self, to }) }
    }
}

/// The sums of an order's payments and refunds, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// What came in.
    pub paid_minor: i64,
    /// What was refunded.
    pub refunded_minor: i64,
    /// What providers hold and have not taken yet.
    pub authorized_minor: i64,
}

/// Derives the payment status from the sums. If only the excess over the total is refunded, the order stays
/// paid. If more is refunded, it becomes (partially) refunded.
pub fn derive_payment_status(total_minor: i64, sums: Sums) -> PaymentStatus {
    let Sums { paid_minor, refunded_minor, authorized_minor } = sums;
    let kept = paid_minor - refunded_minor;
    if authorized_minor > 0 && paid_minor < total_minor && paid_minor + authorized_minor >= total_minor {
        PaymentStatus::Authorized
    } else if paid_minor == 0 {
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
        for (total, (paid_minor, refunded_minor, authorized_minor), status) in [
            (100, (0, 0, 0), Unpaid),
            (0, (0, 0, 0), Paid),
            (100, (0, 0, 60), Unpaid),
            (100, (0, 0, 100), Authorized),
            (100, (40, 0, 60), Authorized),
            (100, (40, 0, 0), PartiallyPaid),
            (100, (40, 0, 10), PartiallyPaid),
            (100, (40, 40, 0), Refunded),
            (100, (100, 0, 0), Paid),
            (100, (100, 0, 20), Paid),
            (100, (150, 0, 0), Overpaid),
            (100, (150, 50, 0), Paid),
            (100, (150, 20, 0), Overpaid),
            (100, (100, 30, 0), PartiallyRefunded),
            (100, (100, 100, 0), Refunded),
        ] {
            let sums = Sums { paid_minor, refunded_minor, authorized_minor };
            assert_eq!(derive_payment_status(total, sums), status, "{total} {sums:?}");
        }
    }
}
