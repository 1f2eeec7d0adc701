//! Takes money that a provider holds, or lets go of it.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::check_payment::PROVIDER_TIMEOUT;
use super::settle_payment::{SettlePaymentError, settle_payment};
use super::watch_payment::check_capture;
use crate::audit_log::{self, Author, Subject};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError};
use crate::ids::{OrderId, PaymentId};
use crate::money::Money;
use crate::orders::{self, EventKind};
use crate::payments::{
    self, AttemptStatus, Outcome, Payment, PaymentProvider, ProviderError, ProviderName, Providers, in_time,
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

/// Captures what is due of the authorized money of a payment, or the `amount`; the provider lets go of the rest. The
/// request is recorded before the provider is called, and its answer is settled afterwards, so call it outside of any
/// transaction.
pub async fn capture_payment(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    payment_id: PaymentId,
    amount: Option<Money>,
    author: &Author,
) -> Result<Payment, CapturePaymentError> {
    let begun = db::in_transaction(pool, "begin_capture", async |conn| {
        begin_capture(conn, providers, payment_id, amount, author).await
    });
    let (payment, amount) = begun.await?;
    let off = || CapturePaymentError::ProviderOff(payment.provider.clone());
    let provider = providers.get(&payment.provider).ok_or_else(off)?;
    let outcome = ask(provider, &payment, amount).await?;
    let settled = db::in_transaction(pool, "settle_capture", async |conn| {
        settle_payment(conn, shop, payment_id, outcome.clone(), &author.origin).await
    });
    Ok(settled.await?)
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
        if due_minor <= 0 {
            void_payment(pool, shop, providers, payment.id, author).await?;
            continue;
        }
        let amount = due_of(providers, payment, due_minor);
        due_minor -= amount.amount_minor;
        capture_payment(pool, shop, providers, payment.id, Some(amount), author).await?;
    }
    Ok(())
}

/// Lets go of the authorized money of a payment. The order waits for another payment.
pub async fn void_payment(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    payment_id: PaymentId,
    author: &Author,
) -> Result<Payment, CapturePaymentError> {
    let payment = payments::find(&mut *pool.get().await?, payment_id).await?;
    let payment = payment.ok_or(CapturePaymentError::NotFound)?;
    if payment.status != AttemptStatus::Authorized {
        return Err(CapturePaymentError::NotAuthorized(payment.status));
    }
    let outcome = providers.end(&payment, PROVIDER_TIMEOUT).await?;
    let settled = db::in_transaction(pool, "settle_void", async |conn| {
        let voided = settle_payment(conn, shop, payment_id, outcome.clone(), &author.origin).await?;
        let facts = |status| Some(json!({ "payment_id": payment_id, "status": status }));
        let (before, after) = (facts(AttemptStatus::Authorized), facts(voided.status));
        let subject = Subject::Order(voided.order_id);
        audit_log::record_facts(conn, author, "admin_void_payment", subject, before, after).await?;
        Ok::<_, SettlePaymentError>(voided)
    });
    Ok(settled.await?)
}

/// Checks the request under the locks and records it.
async fn begin_capture(
    conn: &mut AsyncPgConnection,
    providers: &Providers,
    payment_id: PaymentId,
    amount: Option<Money>,
    author: &Author,
) -> Result<(Payment, Money), CapturePaymentError> {
    conn.transaction(async |conn| {
        let order_id = payments::order_of(conn, payment_id).await?.ok_or(CapturePaymentError::NotFound)?;
        let order = orders::lock(conn, order_id).await?.ok_or(CapturePaymentError::NotFound)?;
        let payment = payments::lock(conn, payment_id).await?;
        if payment.status != AttemptStatus::Authorized {
            return Err(CapturePaymentError::NotAuthorized(payment.status));
        }
        let authorized = Money::new(payment.authorized_minor, payment.currency);
        let amount = amount.unwrap_or_else(|| match order.due_minor() {
            due_minor @ 1.. => due_of(providers, &payment, due_minor),
            _ => authorized,
        });
        if amount.currency != authorized.currency
            || !(1..=authorized.amount_minor).contains(&amount.amount_minor)
        {
            return Err(CapturePaymentError::AmountOutOfRange { amount, authorized });
        }
        let facts = json!({ "payment_id": payment_id, "amount_minor": amount.amount_minor });
        orders::record(conn, order_id, EventKind::CaptureRequested, facts.clone(), &author.origin).await?;
        let before = json!({ "payment_id": payment_id, "authorized_minor": authorized.amount_minor });
        let (subject, before, after) = (Subject::Order(order_id), Some(before), Some(facts));
        audit_log::record_facts(conn, author, "admin_capture_payment", subject, before, after).await?;
        // If the answer is lost, or this process dies before it has settled the answer, the job finds out.
        check_capture(conn, payment_id).await?;
        Ok((payment.into_payment(), amount))
    })
    .await
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
