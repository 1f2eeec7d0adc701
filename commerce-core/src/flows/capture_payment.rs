//! Takes money that a provider holds, or lets go of it.

use data_encoding::HEXLOWER;
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::check_payment::PROVIDER_TIMEOUT;
use super::settle_payment::{SettlePaymentError, settle_payment};
use super::watch_payment::check_soon;
use crate::audit_log::{self, Author, Subject};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError};
use crate::ids::{OrderId, PaymentId};
use crate::money::Money;
use crate::orders::{self, EventKind, LockedOrder};
use crate::payments::{
    self, AttemptStatus, LockedPayment, Outcome, Payment, PaymentProvider, ProviderError, ProviderName,
    Providers, in_time,
};
use crate::settings::ShopSettings;

/// Why nothing was captured or let go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CapturePaymentError {
    /// There is no such payment.
    #[error("there is no such payment")]
    NotFound,
    /// The provider holds no money for the payment. The value is its status.
    #[error("a payment that is {0} holds no authorized money")]
    NotAuthorized(AttemptStatus),
    /// The amount is not positive, more than what is authorized, or in another currency.
    #[error("{amount} cannot be captured: {authorized} is authorized")]
    AmountOutOfRange {
        /// The requested amount.
        amount: Money,
        /// The authorized amount.
        authorized: Money,
    },
    /// This program has no provider with that name.
    #[error("the payment provider {0} is not enabled")]
    ProviderOff(ProviderName),
    /// The provider refused, or did not answer. If it did not answer, what it did is found out later.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The answer could not be settled.
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for CapturePaymentError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Settle(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl<E: Into<CapturePaymentError>> From<TransactionError<E>> for CapturePaymentError {
    fn from(error: TransactionError<E>) -> Self {
        match error {
            TransactionError::NoConnection(error) => error.into(),
            TransactionError::RolledBack(error) => error.into(),
        }
    }
}

/// What staff ask for, and how the request is known again.
#[derive(Debug, Clone)]
pub struct OfAuthorized<'a> {
    /// The payment.
    pub payment_id: PaymentId,
    /// Identifies the request: the same request finds what it has done, even if its answer was lost.
    pub request_key: Option<&'a [u8; 32]>,
    /// Who asks.
    pub author: &'a Author,
}

/// Captures what is due of the authorized money of a payment, or the `amount`; the provider lets go of the rest. The
/// request is recorded before the provider is called, and its answer is settled afterwards, so call it outside of any
/// transaction.
pub async fn capture_payment(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    wish: OfAuthorized<'_>,
    amount: Option<Money>,
) -> Result<Payment, CapturePaymentError> {
    let begun = db::in_transaction(pool, "begin_capture", async |conn| {
        begin_capture(conn, providers, &wish, amount).await
    });
    let (payment, amount) = match begun.await? {
        Begun::Ask(payment, amount) => (payment, amount),
        Begun::Done(payment) => return Ok(payment),
    };
    let off = || CapturePaymentError::ProviderOff(payment.provider.clone());
    let provider = providers.get(&payment.provider).ok_or_else(off)?;
    let outcome = ask(provider, &payment, amount).await?;
    settle(pool, shop, &wish, outcome).await
}

/// As much of the authorized money as is due, or all of it if the provider does not capture a part. What is too much is
/// then refunded.
fn due_of(providers: &Providers, payment: &Payment, due_minor: i64) -> Money {
    let captures_parts = providers.get(&payment.provider).is_none_or(PaymentProvider::captures_parts);
    let most_minor = if captures_parts { due_minor } else { i64::MAX };
    Money::new(payment.authorized_minor.min(most_minor), payment.currency)
}

/// Captures what is due of the money that is authorized for an order, before it is shipped. The first parcel takes all
/// of it, because a provider lets go of the rest with the first capture. Authorizations that nothing is due of any more
/// are let go.
pub async fn capture_order(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    order_id: OrderId,
    author: &Author,
) -> Result<(), CapturePaymentError> {
    let mut conn = pool.get().await?;
    let Some(order) = orders::find(&mut conn, order_id).await? else { return Ok(()) };
    let payments = payments::list_for_order(&mut conn, order_id).await?;
    // The connection goes back before the provider is asked.
    drop(conn);
    let mut due_minor = order.due_minor();
    for payment in payments.iter().filter(|payment| payment.status == AttemptStatus::Authorized) {
        let wish = OfAuthorized { payment_id: payment.id, request_key: None, author };
        if due_minor <= 0 {
            void_payment(pool, shop, providers, wish).await?;
            continue;
        }
        let amount = due_of(providers, payment, due_minor);
        due_minor -= amount.amount_minor;
        capture_payment(pool, shop, providers, wish, Some(amount)).await?;
    }
    Ok(())
}

/// Lets go of the authorized money of a payment. The order waits for another payment. It is recorded and settled like a
/// capture.
pub async fn void_payment(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    wish: OfAuthorized<'_>,
) -> Result<Payment, CapturePaymentError> {
    let begun = db::in_transaction(pool, "begin_void", async |conn| begin_void(conn, &wish).await);
    let payment = match begun.await? {
        Begun::Ask(payment, _) => payment,
        Begun::Done(payment) => return Ok(payment),
    };
    let outcome = providers.end(&payment, PROVIDER_TIMEOUT).await?;
    settle(pool, shop, &wish, outcome).await
}

async fn settle(
    pool: &Pool,
    shop: &ShopSettings,
    wish: &OfAuthorized<'_>,
    outcome: Outcome,
) -> Result<Payment, CapturePaymentError> {
    let settled = db::in_transaction(pool, "settle_authorized", async |conn| {
        settle_payment(conn, shop, wish.payment_id, outcome.clone(), &wish.author.origin).await
    });
    Ok(settled.await?)
}

/// What comes after a request is recorded.
enum Begun {
    /// The provider is asked about this amount.
    Ask(Payment, Money),
    /// The same request was carried out before.
    Done(Payment),
}

/// Checks a request to capture under the locks, and records it.
async fn begin_capture(
    conn: &mut AsyncPgConnection,
    providers: &Providers,
    wish: &OfAuthorized<'_>,
    amount: Option<Money>,
) -> Result<Begun, CapturePaymentError> {
    conn.transaction(async |conn| {
        let (order, payment) = lock(conn, wish.payment_id).await?;
        if payment.succeeded_at.is_some()
            && was_asked(conn, &payment, EventKind::CaptureRequested, wish).await?
        {
            return Ok(Begun::Done(payment.into_payment()));
        }
        let authorized = authorized_money(&payment)?;
        let amount = amount.unwrap_or_else(|| match order.due_minor() {
            due_minor @ 1.. => due_of(providers, &payment, due_minor),
            _ => authorized,
        });
        if amount.currency != authorized.currency
            || !(1..=authorized.amount_minor).contains(&amount.amount_minor)
        {
            return Err(CapturePaymentError::AmountOutOfRange { amount, authorized });
        }
        record(conn, &payment, EventKind::CaptureRequested, "admin_capture_payment", amount, wish).await?;
        Ok(Begun::Ask(payment.into_payment(), amount))
    })
    .await
}

/// Checks a request to let go under the locks, and records it.
async fn begin_void(
    conn: &mut AsyncPgConnection,
    wish: &OfAuthorized<'_>,
) -> Result<Begun, CapturePaymentError> {
    conn.transaction(async |conn| {
        let (_order, payment) = lock(conn, wish.payment_id).await?;
        let is_over = !payment.status.is_open() && payment.succeeded_at.is_none();
        if is_over && was_asked(conn, &payment, EventKind::VoidRequested, wish).await? {
            return Ok(Begun::Done(payment.into_payment()));
        }
        let authorized = authorized_money(&payment)?;
        record(conn, &payment, EventKind::VoidRequested, "admin_void_payment", authorized, wish).await?;
        Ok(Begun::Ask(payment.into_payment(), authorized))
    })
    .await
}

/// Locks the order and the payment.
async fn lock(
    conn: &mut AsyncPgConnection,
    payment_id: PaymentId,
) -> Result<(LockedOrder, LockedPayment), CapturePaymentError> {
    let order_id = payments::order_of(conn, payment_id).await?.ok_or(CapturePaymentError::NotFound)?;
    let order = orders::lock(conn, order_id).await?.ok_or(CapturePaymentError::NotFound)?;
    Ok((order, payments::lock(conn, payment_id).await?))
}

fn authorized_money(payment: &Payment) -> Result<Money, CapturePaymentError> {
    match payment.status {
        AttemptStatus::Authorized => Ok(Money::new(payment.authorized_minor, payment.currency)),
        other => Err(CapturePaymentError::NotAuthorized(other)),
    }
}

/// The field of the order's event that identifies the request.
const REQUEST_KEY: &str = "request_key";

/// Whether this request was recorded before.
async fn was_asked(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    kind: EventKind,
    wish: &OfAuthorized<'_>,
) -> QueryResult<bool> {
    let Some(key) = wish.request_key else { return Ok(false) };
    orders::was_recorded(conn, payment.order_id, kind, (REQUEST_KEY, HEXLOWER.encode(key))).await
}

/// Records the request before the provider is called. If the answer is lost, or this process dies before it has settled
/// the answer, the job finds out.
async fn record(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    kind: EventKind,
    operation: &'static str,
    amount: Money,
    wish: &OfAuthorized<'_>,
) -> QueryResult<()> {
    let facts = json!({ "payment_id": payment.id, "amount_minor": amount.amount_minor });
    let mut event = facts.clone();
    if let (Some(key), Some(event)) = (wish.request_key, event.as_object_mut()) {
        event.insert(REQUEST_KEY.to_owned(), HEXLOWER.encode(key).into());
    }
    orders::record(conn, payment.order_id, kind, event, &wish.author.origin).await?;
    let before = json!({ "payment_id": payment.id, "authorized_minor": payment.authorized_minor });
    let subject = Subject::Order(payment.order_id);
    audit_log::record_facts(conn, wish.author, operation, subject, Some(before), Some(facts)).await?;
    check_soon(conn, payment.id).await
}

/// Captures. A provider that refuses may have captured before, when its answer was lost: then that counts.
async fn ask(
    provider: &dyn PaymentProvider,
    payment: &Payment,
    amount: Money,
) -> Result<Outcome, ProviderError> {
    match in_time(&payment.provider, PROVIDER_TIMEOUT, provider.capture(payment, amount)).await {
        Err(refused @ ProviderError::Refused { .. }) => {
            let status =
                in_time(&payment.provider, PROVIDER_TIMEOUT, provider.attempt_status(payment)).await?;
            match status {
                Some(Outcome::Authorized(_)) | None => Err(refused),
                Some(outcome) => Ok(outcome),
            }
        }
        answer => answer,
    }
}
