//! The rows of payment attempts.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Authorization, Capture, ProviderName, RequiredAction};
use crate::db::clock;
use crate::ids::{OrderId, PaymentId};
use crate::money::Currency;
use crate::schema::payments;
use crate::text_enum::text_enum;

text_enum! {
    /// The status of an attempt.
    pub enum AttemptStatus {
        /// It is recorded. The provider may not know it yet.
        Pending = "pending",
        /// The shopper must do something.
        RequiresAction = "requires_action",
        /// The provider will report later.
        Processing = "processing",
        /// The provider holds the money until it is captured.
        Authorized = "authorized",
        /// The money came in.
        Succeeded = "succeeded",
        /// The provider refused it.
        Failed = "failed",
        /// It was not completed in time.
        Expired = "expired",
        /// It was called off.
        Cancelled = "cancelled",
        /// A part of the money was refunded.
        PartiallyRefunded = "partially_refunded",
        /// All of the money was refunded.
        Refunded = "refunded",
    }
}

text_enum! {
    /// When the provider takes the money.
    pub enum CaptureMethod {
        /// As soon as the shopper has agreed.
        Automatic = "automatic",
        /// When the shop captures it. Until then it is authorized.
        Manual = "manual",
    }
}

impl AttemptStatus {
    /// Statuses in which the provider may still take money.
    pub const OPEN: [AttemptStatus; 4] =
        [Self::Pending, Self::RequiresAction, Self::Processing, Self::Authorized];

    /// Whether the provider may still take money.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

/// One attempt to pay an order or a part of it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = payments)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The order that it pays.
    pub order_id: OrderId,
    /// The provider that takes the money.
    pub provider: ProviderName,
    /// The provider's own id of the payment.
    pub provider_reference: Option<String>,
    /// The shopper's part of the request, in the provider's format.
    pub request: serde_json::Value,
    /// The requested amount.
    pub amount_minor: i64,
    /// When the provider takes the money.
    pub capture_method: CaptureMethod,
    /// The authorized amount: zero until the provider holds money for the shop.
    pub authorized_minor: i64,
    /// When the provider lets go of the authorized money, if the provider reports it.
    pub lapses_at: Option<DateTime<Utc>>,
    /// The captured amount: zero until the attempt succeeds, and then what the provider reports.
    pub captured_minor: i64,
    /// The refunded amount.
    pub refunded_minor: i64,
    /// The currency of its amounts.
    pub currency: Currency,
    /// The status.
    pub status: AttemptStatus,
    /// The provider's code for the failure.
    pub failure_code: Option<String>,
    /// What the shopper must do, as JSON of [`super::RequiredAction`].
    pub action: Option<serde_json::Value>,
    /// When the money counted towards the order; set once.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// The provider's fee, if the provider reports it.
    pub fee_minor: Option<i64>,
    /// The currency of the fee.
    pub fee_currency: Option<Currency>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Payment {
    /// The page on which the shopper must act, if there is one.
    pub fn link(&self) -> Option<String> {
        let action = self.action.clone().filter(|_| self.status == AttemptStatus::RequiresAction)?;
        match serde_json::from_value(action) {
            Ok(RequiredAction::Redirect { url }) => Some(url),
            Ok(RequiredAction::Client { .. }) | Err(_) => None,
        }
    }

    /// Whether a person received the money, so that a person must also pay it back.
    pub fn is_manual(&self) -> bool {
        self.provider == ProviderName::MANUAL
    }
}

/// A payment whose row this transaction has locked. The order's row was locked before.
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedPayment(Payment);

impl Deref for LockedPayment {
    type Target = Payment;

    fn deref(&self) -> &Payment {
        &self.0
    }
}

impl LockedPayment {
    /// The payment as it is now.
    pub fn into_payment(self) -> Payment {
        self.0
    }

    /// The attempt continues: the shopper must act, or the provider will report later.
    pub(crate) async fn go_on(
        &mut self,
        conn: &mut AsyncPgConnection,
        reference: String,
        action: Option<RequiredAction>,
    ) -> QueryResult<()> {
        let action = action.map(serde_json::to_value).transpose();
        self.0.action = action.map_err(|error| QueryError::SerializationError(error.into()))?;
        self.0.status = match self.0.action {
            Some(_) => AttemptStatus::RequiresAction,
            None => AttemptStatus::Processing,
        };
        self.0.provider_reference = Some(reference);
        self.write(conn).await
    }

    /// The attempt ended without money that counts. `code` is the provider's code for the failure.
    pub(crate) async fn fail(
        &mut self,
        conn: &mut AsyncPgConnection,
        reference: Option<String>,
        code: &str,
    ) -> QueryResult<()> {
        self.0.status = AttemptStatus::Failed;
        self.0.provider_reference = reference.or(self.0.provider_reference.take());
        self.0.action = None;
        self.0.failure_code = Some(code.to_owned());
        self.write_outcome(conn).await
    }

    /// The attempt can no longer succeed.
    pub(crate) async fn expire(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        self.0.status = AttemptStatus::Expired;
        self.0.action = None;
        self.write_outcome(conn).await
    }

    /// The provider holds this money until it is captured.
    pub(crate) async fn authorize(
        &mut self,
        conn: &mut AsyncPgConnection,
        authorization: &Authorization,
    ) -> QueryResult<()> {
        self.0.status = AttemptStatus::Authorized;
        self.0.provider_reference = Some(authorization.reference.clone());
        self.0.authorized_minor = authorization.authorized.amount_minor;
        self.0.lapses_at = authorization.lapses_at;
        self.0.action = None;
        self.0.failure_code = None;
        self.write_outcome(conn).await
    }

    /// Records money that came in at `now`.
    pub(crate) async fn succeed(
        &mut self,
        conn: &mut AsyncPgConnection,
        capture: &Capture,
        now: DateTime<Utc>,
    ) -> QueryResult<()> {
        self.0.status = AttemptStatus::Succeeded;
        self.0.provider_reference = Some(capture.reference.clone());
        self.0.captured_minor = capture.captured.amount_minor;
        self.0.fee_minor = capture.fee.map(|fee| fee.amount_minor);
        self.0.fee_currency = capture.fee.map(|fee| fee.currency);
        self.0.action = None;
        self.0.failure_code = None;
        self.0.succeeded_at = Some(now);
        self.write_outcome(conn).await
    }

    /// Counts a refund of the payment.
    pub(crate) async fn give_back(
        &mut self,
        conn: &mut AsyncPgConnection,
        amount_minor: i64,
    ) -> QueryResult<()> {
        self.0.refunded_minor += amount_minor;
        self.0.status = if self.0.refunded_minor == self.0.captured_minor {
            AttemptStatus::Refunded
        } else {
            AttemptStatus::PartiallyRefunded
        };
        self.write(conn).await
    }

    /// The attempt has come to an outcome, which is counted. A transaction that is rolled back may have counted one too
    /// many.
    async fn write_outcome(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        self.write(conn).await?;
        let labels =
            [("provider", self.0.provider.to_string()), ("outcome", self.0.status.as_str().to_owned())];
        metrics::counter!("commerce_payment_attempts_total", &labels).increment(1);
        Ok(())
    }

    async fn write(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        let changed = &self.0;
        self.0 = diesel::update(payments::table.find(changed.id))
            .set((
                payments::status.eq(changed.status),
                payments::provider_reference.eq(&changed.provider_reference),
                payments::authorized_minor.eq(changed.authorized_minor),
                payments::lapses_at.eq(changed.lapses_at),
                payments::captured_minor.eq(changed.captured_minor),
                payments::refunded_minor.eq(changed.refunded_minor),
                payments::fee_minor.eq(changed.fee_minor),
                payments::fee_currency.eq(changed.fee_currency),
                payments::failure_code.eq(&changed.failure_code),
                payments::action.eq(&changed.action),
                payments::succeeded_at.eq(changed.succeeded_at),
                payments::updated_at.eq(clock()),
            ))
            .returning(Payment::as_returning())
            .get_result(conn)
            .await?;
        Ok(())
    }
}

/// An attempt that is about to be written.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = payments)]
pub(crate) struct NewPayment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub provider: ProviderName,
    pub request: serde_json::Value,
    pub amount_minor: i64,
    pub currency: Currency,
    pub capture_method: CaptureMethod,
    /// Identifies the request that began the attempt, so that the same request finds it again.
    pub request_key: Option<Vec<u8>>,
}

/// Writes an attempt that the provider does not know yet.
pub(crate) async fn insert(conn: &mut AsyncPgConnection, payment: NewPayment) -> QueryResult<Payment> {
    diesel::insert_into(payments::table)
        .values(payment)
        .returning(Payment::as_returning())
        .get_result(conn)
        .await
}

/// A payment by id.
pub async fn find(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Option<Payment>> {
    payments::table.find(id).select(Payment::as_select()).first(conn).await.optional()
}

/// The attempt that this request began.
pub async fn find_by_request(
    conn: &mut AsyncPgConnection,
    request_key: &[u8; 32],
) -> QueryResult<Option<Payment>> {
    let row = payments::table.filter(payments::request_key.eq(request_key.as_slice()));
    row.select(Payment::as_select()).first(conn).await.optional()
}

/// The payment for which the provider uses this id.
pub async fn find_by_reference(
    conn: &mut AsyncPgConnection,
    provider: &ProviderName,
    reference: &str,
) -> QueryResult<Option<Payment>> {
    payments::table
        .filter(payments::provider.eq(provider))
        .filter(payments::provider_reference.eq(reference))
        .select(Payment::as_select())
        .first(conn)
        .await
        .optional()
}

/// The order of a payment. It never changes. Read it to lock the order before the payment.
pub async fn order_of(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Option<OrderId>> {
    payments::table.find(id).select(payments::order_id).first(conn).await.optional()
}

/// Locks a payment's row until the transaction ends. The order's row must be locked already.
pub(crate) async fn lock(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<LockedPayment> {
    let payment = payments::table.find(id).select(Payment::as_select()).for_update().first(conn).await?;
    Ok(LockedPayment(payment))
}

/// The attempts of an order, oldest first.
pub async fn list_for_order(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Vec<Payment>> {
    payments::table
        .filter(payments::order_id.eq(order_id))
        .order((payments::created_at, payments::id))
        .select(Payment::as_select())
        .load(conn)
        .await
}

/// The attempts of an order that may still take money.
pub(crate) async fn list_open(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Vec<Payment>> {
    payments::table
        .filter(payments::order_id.eq(order_id))
        .filter(payments::status.eq_any(AttemptStatus::OPEN))
        .order((payments::created_at, payments::id))
        .select(Payment::as_select())
        .load(conn)
        .await
}

/// Closes the order's open attempts, because the shop no longer waits for them. If one succeeds nevertheless,
/// it is settled as a late payment.
pub(crate) async fn close_open(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    status: AttemptStatus,
) -> QueryResult<usize> {
    let open = payments::table
        .filter(payments::order_id.eq(order_id))
        .filter(payments::status.eq_any(AttemptStatus::OPEN));
    diesel::update(open)
        .set((payments::status.eq(status), payments::updated_at.eq(clock())))
        .execute(conn)
        .await
}
