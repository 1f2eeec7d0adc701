//! The rows of refunds: pending → processing → succeeded | failed. Staff may retry a failed refund.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::refund_lines::has_units;
use super::{Payment, ProviderName};
use crate::db::clock;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::schema::{payments, refunds};
use crate::text_enum::text_enum;

text_enum! {
    /// Why money is refunded.
    pub enum RefundReason {
        /// Its order was cancelled.
        OrderCancelled = "order_cancelled",
        /// Units of its order were cancelled.
        LinesCancelled = "lines_cancelled",
        /// More came in than the order's total.
        Excess = "excess",
        /// The payment came after the order was cancelled, and the order could not be restored.
        LatePayment = "late_payment",
        /// Staff decided it.
        Requested = "requested",
        /// Goods came back.
        GoodsReturned = "goods_returned",
    }
}

text_enum! {
    /// The status of a refund.
    pub enum RefundStatus {
        /// A job will ask the provider.
        Pending = "pending",
        /// The provider was asked. It has not answered yet, or it has not decided.
        Processing = "processing",
        /// The money was refunded.
        Succeeded = "succeeded",
        /// The provider refused. Staff must retry the refund or pay it by hand.
        Failed = "failed",
    }
}

impl RefundStatus {
    /// Whether a job still works on it.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }
}

/// A refund of a payment.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = refunds)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// The payment that is refunded.
    pub payment_id: PaymentId,
    /// The order that was paid.
    pub order_id: OrderId,
    /// The amount, in minor units of the payment's currency.
    pub amount_minor: i64,
    /// The reason.
    pub reason: RefundReason,
    /// The status.
    pub status: RefundStatus,
    /// Identifies what is refunded and why. Of the refunds with the same key, at most one has not failed.
    pub dedupe_key: String,
    /// 1 at first, and one more with each retry.
    pub attempt: i32,
    /// When the provider was asked in this attempt.
    pub asked_at: Option<DateTime<Utc>>,
    /// The provider's own id of this attempt, once it has returned one.
    pub provider_reference: Option<String>,
    /// The provider's code for the failure.
    pub failure_code: Option<String>,
    /// How staff paid it without the provider.
    pub by_hand_note: Option<String>,
    /// What staff wrote when they requested it. The shopper reads it.
    pub note: Option<String>,
    /// The first refund of the request, if the request is spread over several payments and this is another one.
    pub part_of: Option<RefundId>,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
}

impl Refund {
    /// The key for the provider in this attempt. The same key refunds the same money.
    pub fn provider_key(&self) -> String {
        match self.attempt {
            1 => self.id.to_string(),
            attempt => format!("{}-{attempt}", self.id),
        }
    }
}

/// A refund whose row this transaction has locked. The rows of the order and the payment were locked before.
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedRefund(Refund);

impl Deref for LockedRefund {
    type Target = Refund;

    fn deref(&self) -> &Refund {
        &self.0
    }
}

impl LockedRefund {
    /// The refund as it is now.
    pub fn into_refund(self) -> Refund {
        self.0
    }

    /// The provider accepted the refund and will report later. If the time of the request was not recorded,
    /// `now` counts as that time.
    pub(crate) async fn wait(
        &mut self,
        conn: &mut AsyncPgConnection,
        reference: &str,
        now: DateTime<Utc>,
    ) -> QueryResult<()> {
        self.0.status = RefundStatus::Processing;
        self.0.asked_at.get_or_insert(now);
        self.0.provider_reference = Some(reference.to_owned());
        self.write(conn).await
    }

    /// The provider has refunded the money.
    pub(crate) async fn succeed(&mut self, conn: &mut AsyncPgConnection, reference: &str) -> QueryResult<()> {
        self.0.status = RefundStatus::Succeeded;
        self.0.provider_reference = Some(reference.to_owned());
        self.0.failure_code = None;
        self.write(conn).await
    }

    /// The money was refunded without the provider.
    pub(crate) async fn succeed_by_hand(
        &mut self,
        conn: &mut AsyncPgConnection,
        note: &str,
    ) -> QueryResult<()> {
        self.0.status = RefundStatus::Succeeded;
        self.0.by_hand_note = Some(note.to_owned());
        self.write(conn).await
    }

    /// The provider will not refund the money. `code` is its code for the failure.
    pub(crate) async fn fail(&mut self, conn: &mut AsyncPgConnection, code: &str) -> QueryResult<()> {
        self.0.status = RefundStatus::Failed;
        self.0.failure_code = Some(code.to_owned());
        self.write(conn).await
    }

    /// The provider has refunded the money after the shop had refunded it in another way.
    pub(crate) async fn note_paid_twice(
        &mut self,
        conn: &mut AsyncPgConnection,
        reference: &str,
    ) -> QueryResult<()> {
        self.0.provider_reference = Some(reference.to_owned());
        self.0.failure_code = Some(PAID_TWICE.to_owned());
        self.write(conn).await
    }

    /// Whether that was already recorded.
    pub(crate) fn is_noted_paid_twice(&self) -> bool {
        self.0.failure_code.as_deref() == Some(PAID_TWICE)
    }

    /// Begins the next attempt after a failed one.
    pub(crate) async fn begin_anew(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        self.0.status = RefundStatus::Pending;
        self.0.attempt += 1;
        self.0.asked_at = None;
        self.0.provider_reference = None;
        self.0.failure_code = None;
        self.write(conn).await
    }

    async fn write(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        let changed = &self.0;
        self.0 = diesel::update(refunds::table.find(changed.id))
            .set((
                refunds::status.eq(changed.status),
                refunds::attempt.eq(changed.attempt),
                refunds::asked_at.eq(changed.asked_at),
                refunds::provider_reference.eq(&changed.provider_reference),
                refunds::failure_code.eq(&changed.failure_code),
                refunds::by_hand_note.eq(&changed.by_hand_note),
                refunds::updated_at.eq(clock()),
            ))
            .returning(Refund::as_returning())
            .get_result(conn)
            .await?;
        Ok(())
    }
}

/// The failure code of a refund that succeeded after the same money had been refunded in another way.
const PAID_TWICE: &str = "paid_twice";

/// A refund that is about to be written.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = refunds)]
pub(crate) struct NewRefund {
    pub id: RefundId,
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    pub amount_minor: i64,
    pub reason: RefundReason,
    pub dedupe_key: String,
    pub note: Option<String>,
    pub part_of: Option<RefundId>,
}

impl NewRefund {
    /// A refund that happens once for the payment and the reason.
    pub(crate) fn once(payment: &Payment, amount_minor: i64, reason: RefundReason) -> Self {
        let dedupe_key = format!("{}:{reason}", payment.id);
        Self { dedupe_key, ..Self::new(payment, amount_minor, reason) }
    }

    /// A refund for this request, of which a payment may have several.
    pub(crate) fn new(payment: &Payment, amount_minor: i64, reason: RefundReason) -> Self {
        let id = RefundId::new();
        let (payment_id, order_id, dedupe_key) = (payment.id, payment.order_id, id.to_string());
        Self { id, payment_id, order_id, amount_minor, reason, dedupe_key, note: None, part_of: None }
    }
}

/// Writes a refund. `None` if there is already a refund with its key that has not failed. Needs the lock of
/// the payment's order.
pub(crate) async fn insert_refund(
    conn: &mut AsyncPgConnection,
    refund: NewRefund,
) -> QueryResult<Option<Refund>> {
    diesel::insert_into(refunds::table)
        .values(refund)
        .on_conflict_do_nothing()
        .returning(Refund::as_returning())
        .get_result(conn)
        .await
        .optional()
}

/// A refund by id.
pub async fn find_refund(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<Option<Refund>> {
    refunds::table.find(id).select(Refund::as_select()).first(conn).await.optional()
}

/// The refund for which the provider uses this id.
pub async fn find_refund_by_reference(
    conn: &mut AsyncPgConnection,
    provider: &ProviderName,
    reference: &str,
) -> QueryResult<Option<Refund>> {
    refunds::table
        .inner_join(payments::table)
        .filter(payments::provider.eq(provider))
        .filter(refunds::provider_reference.eq(reference))
        .select(Refund::as_select())
        .first(conn)
        .await
        .optional()
}

/// Locks a refund's row. The order and the payment must be locked already.
pub(crate) async fn lock_refund(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<LockedRefund> {
    let refund = refunds::table.find(id).select(Refund::as_select()).for_update().first(conn).await?;
    Ok(LockedRefund(refund))
}

/// Records that the provider is about to be asked. `None` if the refund has ended. Commit before asking.
pub(crate) async fn mark_asked(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<Option<Refund>> {
    diesel::update(refunds::table.find(id).filter(refunds::status.eq(RefundStatus::Pending)))
        .set((
            refunds::status.eq(RefundStatus::Processing),
            refunds::asked_at.eq(clock().nullable()),
            refunds::updated_at.eq(clock()),
        ))
        .execute(conn)
        .await?;
    Ok(find_refund(conn, id).await?.filter(|refund| refund.status.is_under_way()))
}

/// Whether a failed refund may still be paid: no other refund has replaced it, its units were not refunded
/// otherwise, and the payment has enough money left. Needs the order's lock.
pub(crate) async fn has_room(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    refund: &Refund,
) -> QueryResult<bool> {
    let others: Vec<(String, i64)> = refunds::table
        .filter(refunds::payment_id.eq(payment.id))
        .filter(refunds::status.ne(RefundStatus::Failed))
        .filter(refunds::id.ne(refund.id))
        .select((refunds::dedupe_key, refunds::amount_minor))
        .load(conn)
        .await?;
    let promised: i64 = others.iter().map(|(_, amount_minor)| amount_minor).sum();
    let replaced = others.iter().any(|(key, _)| *key == refund.dedupe_key);
    let has_money = promised + refund.amount_minor <= payment.captured_minor;
    let first = refund.part_of.unwrap_or(refund.id);
    Ok(!replaced && has_money && has_units(conn, refund.order_id, first).await?)
}

/// What was or will be refunded of each payment of an order, with one entry for each refund. Failed refunds
/// do not count.
pub async fn promised_by_payment(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<Vec<(PaymentId, i64)>> {
    refunds::table
        .filter(refunds::order_id.eq(order_id))
        .filter(refunds::status.ne(RefundStatus::Failed))
        .select((refunds::payment_id, refunds::amount_minor))
        .load(conn)
        .await
}
