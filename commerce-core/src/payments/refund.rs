//! The rows of refunds: pending → processing → succeeded | failed. A person may retry one that failed.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Payment, ProviderName};
use crate::db::clock;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::schema::{payments, refunds};
use crate::text_enum::text_enum;

text_enum! {
    /// Why money goes back.
    pub enum RefundReason {
        /// Its order was cancelled.
        OrderCancelled = "order_cancelled",
        /// More came in than the order's total.
        Excess = "excess",
        /// It came after the order was cancelled, and the order could not be brought back.
        LatePayment = "late_payment",
    }
}

text_enum! {
    /// Where a refund stands.
    pub enum RefundStatus {
        /// Promised. A job will ask the provider.
        Pending = "pending",
        /// The provider was asked. Its answer is on its way, or says that it takes time.
        Processing = "processing",
        /// The money went back.
        Succeeded = "succeeded",
        /// The provider refused: a person must see to it.
        Failed = "failed",
    }
}

impl RefundStatus {
    /// Whether a job still sees to it.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }
}

/// Money that goes back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = refunds)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// The payment that the money came in with.
    pub payment_id: PaymentId,
    /// The order that was paid.
    pub order_id: OrderId,
    /// What goes back, in minor units of the payment's currency.
    pub amount_minor: i64,
    /// Why it goes back.
    pub reason: RefundReason,
    /// How far it is.
    pub status: RefundStatus,
    /// Names what is paid back for what reason: of the refunds with this key, one at most has not failed.
    pub dedupe_key: String,
    /// 1 at first; one more with each retry.
    pub attempt: i32,
    /// When this attempt was brought to the provider.
    pub asked_at: Option<DateTime<Utc>>,
    /// The provider's own id of this attempt, once it has answered with one.
    pub provider_reference: Option<String>,
    /// The provider's word for why it failed.
    pub failure_code: Option<String>,
    /// How a person paid it back without the provider.
    pub by_hand_note: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl Refund {
    /// What this attempt is asked for with: the same key, the same money.
    pub fn provider_key(&self) -> String {
        match self.attempt {
            1 => self.id.to_string(),
            attempt => format!("{}-{attempt}", self.id),
        }
    }
}

/// A refund whose row this transaction has locked. Its order's row and its payment's were locked before.
#[derive(Debug)]
pub struct LockedRefund(Refund);

impl Deref for LockedRefund {
    type Target = Refund;

    fn deref(&self) -> &Refund {
        &self.0
    }
}

impl LockedRefund {
    /// The refund as it stands now.
    pub fn into_refund(self) -> Refund {
        self.0
    }

    /// The provider took it up and will tell later. `now` counts as when it was asked, if nobody wrote that down.
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

    /// The money went back through the provider.
    pub(crate) async fn succeed(&mut self, conn: &mut AsyncPgConnection, reference: &str) -> QueryResult<()> {
        self.0.status = RefundStatus::Succeeded;
        self.0.provider_reference = Some(reference.to_owned());
        self.0.failure_code = None;
        self.write(conn).await
    }

    /// The money went back, but not through the provider.
    pub(crate) async fn succeed_by_hand(
        &mut self,
        conn: &mut AsyncPgConnection,
        note: &str,
    ) -> QueryResult<()> {
        self.0.status = RefundStatus::Succeeded;
        self.0.by_hand_note = Some(note.to_owned());
        self.write(conn).await
    }

    /// The provider will not do it. `code` is its word for why.
    pub(crate) async fn fail(&mut self, conn: &mut AsyncPgConnection, code: &str) -> QueryResult<()> {
        self.0.status = RefundStatus::Failed;
        self.0.failure_code = Some(code.to_owned());
        self.write(conn).await
    }

    /// The money went back through the provider after the shop had it paid otherwise.
    pub(crate) async fn note_paid_twice(
        &mut self,
        conn: &mut AsyncPgConnection,
        reference: &str,
    ) -> QueryResult<()> {
        self.0.provider_reference = Some(reference.to_owned());
        self.0.failure_code = Some(PAID_TWICE.to_owned());
        self.write(conn).await
    }

    /// Whether that was noted before.
    pub(crate) fn is_noted_paid_twice(&self) -> bool {
        self.0.failure_code.as_deref() == Some(PAID_TWICE)
    }

    /// The next attempt at the provider, after the last one failed.
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

/// The failure code of a refund that went through after all, when its money had gone back another way.
const PAID_TWICE: &str = "paid_twice";

/// Promises to give money back; `None` if that is promised under this key and has not failed. Needs the payment's order
/// locked.
pub(crate) async fn insert_refund(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    amount_minor: i64,
    reason: RefundReason,
    dedupe_key: &str,
) -> QueryResult<Option<Refund>> {
    diesel::insert_into(refunds::table)
        .values((
            refunds::id.eq(RefundId::new()),
            refunds::payment_id.eq(payment.id),
            refunds::order_id.eq(payment.order_id),
            refunds::amount_minor.eq(amount_minor),
            refunds::reason.eq(reason),
            refunds::dedupe_key.eq(dedupe_key),
        ))
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

/// The refund that a provider knows by this id.
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

/// Locks a refund's row; order and payment must be locked already.
pub(crate) async fn lock_refund(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<LockedRefund> {
    let refund = refunds::table.find(id).select(Refund::as_select()).for_update().first(conn).await?;
    Ok(LockedRefund(refund))
}

/// Writes down that the provider is about to be asked; `None` if the refund has ended. Commit before asking.
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

/// Whether a refund that failed may still be paid: nothing has taken its place, and the payment has that much left.
/// Needs the order locked.
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
    Ok(!replaced && promised + refund.amount_minor <= payment.captured_minor)
}

/// What has gone back or is promised to, of each payment of an order: an entry a refund. Refunds that failed do not count.
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
