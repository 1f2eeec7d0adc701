//! The row lock on an order. Whoever changes an order holds it.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    CancelReason, FulfillmentStatus, Order, OrderStatus, Sums, TransitionError, derive_payment_status,
};
use crate::db::clock;
use crate::ids::{OrderId, OrderLineId, VariantId};
use crate::schema::{order_lines, orders};

/// An order whose row this transaction has locked. Only [`lock`] makes one.
///
/// It can be read as an [`Order`]. Only the library's own steps change it.
///
/// ```compile_fail
/// # fn make(order: commerce_core::orders::Order) {
/// let locked = commerce_core::orders::LockedOrder(order); // the field is private
/// # }
/// ```
///
/// ```compile_fail
/// # fn change(mut order: commerce_core::orders::LockedOrder) {
/// order.paid_minor = 0; // there is no `DerefMut`
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedOrder(Order);

impl Deref for LockedOrder {
    type Target = Order;

    fn deref(&self) -> &Order {
        &self.0
    }
}

/// Locks an order's row until the transaction ends. In the lock order it comes before payments and stock.
pub async fn lock(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Option<LockedOrder>> {
    let order =
        orders::table.find(id).select(Order::as_select()).for_update().first(conn).await.optional()?;
    Ok(order.map(LockedOrder))
}

impl LockedOrder {
    /// The order as it was last read or written.
    pub fn into_order(self) -> Order {
        self.0
    }

    /// Takes a step of the state machine.
    pub(crate) fn move_to(&mut self, next: OrderStatus) -> Result<(), TransitionError> {
        self.status.check(next)?;
        self.0.status = next;
        Ok(())
    }

    /// Cancels the order. From now on its stock counts as released.
    pub(crate) fn cancel(&mut self, reason: CancelReason, now: DateTime<Utc>) {
        self.0.status = OrderStatus::Cancelled;
        self.0.cancel_reason = Some(reason);
        self.0.cancelled_at = Some(now);
        self.0.stock_released_at = Some(now);
        self.0.authorized_minor = 0;
    }

    /// Sets what the shop keeps of a cancelled order.
    pub(crate) fn keep(&mut self, amount_minor: i64) {
        self.0.kept_minor = amount_minor;
    }

    /// Restores a cancelled order as a paid one.
    pub(crate) fn reinstate(&mut self) {
        self.0.status = OrderStatus::Paid;
        self.0.cancel_reason = None;
        self.0.cancelled_at = None;
        self.0.stock_released_at = None;
    }

    /// Counts money that came in. If the order's total is covered, the order has been paid from now on, even
    /// if money is refunded later. An order that waited for the payment becomes paid.
    pub(crate) fn receive(&mut self, amount_minor: i64, now: DateTime<Utc>) -> Received {
        self.0.paid_minor += amount_minor;
        if self.paid_at.is_none() && self.paid_minor >= self.payable_minor() {
            self.0.paid_at = Some(now);
        }
        match self.status {
            OrderStatus::Cancelled => Received::TooLate,
            OrderStatus::PendingPayment if self.paid_at.is_some() => {
                self.0.status = OrderStatus::Paid;
                Received::BecamePaid
            }
            _ => Received::Counted,
        }
    }

    /// Sets what providers hold for the order. An order that is covered by it waits for its payment `until` then.
    pub(crate) fn set_authorized(&mut self, amount_minor: i64, until: DateTime<Utc>) {
        self.0.authorized_minor = amount_minor;
        if amount_minor > 0 && self.is_covered() {
            self.wait_until(until);
        }
    }

    /// Sets until when the order can be paid, if it waits for a payment.
    pub(crate) fn wait_until(&mut self, until: DateTime<Utc>) {
        if self.status == OrderStatus::PendingPayment {
            self.0.expires_at = Some(until);
        }
    }

    /// Counts refunded money.
    pub(crate) fn give_back(&mut self, amount_minor: i64) {
        self.0.refunded_minor += amount_minor;
    }

    /// Sets how much of the order was shipped, and moves its status along: with the first of its parcels it is being
    /// processed, with the last it is shipped, and when all have arrived it is delivered. Returns whether its
    /// processing has begun by this.
    pub(crate) fn follow_parcels(&mut self, fulfillment: FulfillmentStatus, has_parcels: bool) -> bool {
        self.0.fulfillment_status = fulfillment;
        let has_all_left =
            !matches!(fulfillment, FulfillmentStatus::Unfulfilled | FulfillmentStatus::Partial);
        let begins = self.status == OrderStatus::Paid && has_parcels && !has_all_left;
        if begins {
            self.0.status = OrderStatus::Processing;
        }
        if has_all_left && matches!(self.status, OrderStatus::Paid | OrderStatus::Processing) {
            self.0.status = OrderStatus::Shipped;
        }
        if fulfillment == FulfillmentStatus::Delivered && self.status == OrderStatus::Shipped {
            self.0.status = OrderStatus::Delivered;
        }
        begins
    }
}

/// What a payment did to its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// The order waited for the payment, and is paid now.
    BecamePaid,
    /// The payment was added to earlier ones.
    Counted,
    /// The order had been cancelled.
    TooLate,
}

/// Writes the changes of a locked order. The payment status is derived from the sums, and `updated_at` and
/// `version` are updated automatically.
pub(crate) async fn update(conn: &mut AsyncPgConnection, order: &mut LockedOrder) -> QueryResult<()> {
    let changed = &mut order.0;
    let &mut Order { paid_minor, refunded_minor, authorized_minor, .. } = changed;
    changed.payment_status =
        derive_payment_status(changed.payable_minor(), Sums { paid_minor, refunded_minor, authorized_minor });
    *changed = diesel::update(orders::table.find(changed.id))
        .set((
            orders::status.eq(changed.status),
            orders::payment_status.eq(changed.payment_status),
            orders::fulfillment_status.eq(changed.fulfillment_status),
            orders::paid_minor.eq(changed.paid_minor),
            orders::refunded_minor.eq(changed.refunded_minor),
            orders::authorized_minor.eq(changed.authorized_minor),
            orders::cancelled_minor.eq(changed.cancelled_minor),
            orders::kept_minor.eq(changed.kept_minor),
            orders::cancel_reason.eq(changed.cancel_reason),
            orders::expires_at.eq(changed.expires_at),
            orders::paid_at.eq(changed.paid_at),
            orders::cancelled_at.eq(changed.cancelled_at),
            orders::stock_released_at.eq(changed.stock_released_at),
            orders::updated_at.eq(clock()),
            orders::version.eq(orders::version + 1),
        ))
        .returning(Order::as_returning())
        .get_result(conn)
        .await?;
    Ok(())
}

/// Writes for each line of a locked order whether units of its variant are counted, before stock is reserved
/// again. `counted` are the variants that are.
pub(crate) async fn recount(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    counted: &[VariantId],
) -> QueryResult<()> {
    diesel::update(order_lines::table.filter(order_lines::order_id.eq(order.id)))
        .set(order_lines::track_inventory.eq(order_lines::variant_id.eq_any(counted)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Counts units of lines as shipped. Needs the order's lock.
pub(crate) async fn count_shipped(
    conn: &mut AsyncPgConnection,
    units: &[(OrderLineId, i64)],
) -> QueryResult<()> {
    for (line, quantity) in units {
        diesel::update(order_lines::table.find(line))
            .set(order_lines::shipped_quantity.eq(order_lines::shipped_quantity + quantity))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Counts units of lines as returned. Needs the order's lock.
pub(crate) async fn count_returned(
    conn: &mut AsyncPgConnection,
    units: &[(OrderLineId, i64)],
) -> QueryResult<()> {
    for (line, quantity) in units {
        diesel::update(order_lines::table.find(line))
            .set(order_lines::returned_quantity.eq(order_lines::returned_quantity + quantity))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Units of a line that are cancelled, and what they cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancelledUnits {
    pub order_line_id: OrderLineId,
    pub quantity: i64,
    pub amount_minor: i64,
}

/// Counts units of lines as cancelled. The caller writes the order.
pub(crate) async fn cancel_units(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    units: &[CancelledUnits],
) -> QueryResult<()> {
    for CancelledUnits { order_line_id, quantity, amount_minor } in units {
        diesel::update(order_lines::table.find(order_line_id))
            .set((
                order_lines::cancelled_quantity.eq(order_lines::cancelled_quantity + quantity),
                order_lines::cancelled_minor.eq(order_lines::cancelled_minor + amount_minor),
            ))
            .execute(conn)
            .await?;
        order.0.cancelled_minor += amount_minor;
    }
    Ok(())
}
