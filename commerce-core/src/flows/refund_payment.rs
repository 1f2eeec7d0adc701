//! The job `refund_payment`, and what leads to it. Money goes back: promised in a transaction, asked of the provider by a job, written down once.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::db::{self, Pool, PoolError, Retryable, TransactionError};
use crate::ids::RefundId;
use crate::notifications::{NewEmail, enqueue_email};
use crate::orders::{self, EventKind};
use crate::payments::{
    self, Payment, PaymentStatus, ProviderError, ProviderName, Providers, RefundOutcome, RefundReason,
    RefundStatus,
};
use crate::queue::{self, CompleteError, Failure, Job, Lease, LeaseLost};
use crate::request::Origin;

/// Asks the provider to give money back, and writes what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPayment {
    pub refund_id: RefundId,
}

impl Job for RefundPayment {
    const KIND: &'static str = "refund_payment";
    const ATTEMPTS_MAX: i32 = 20;
}

impl From<RefundPaymentError> for Failure {
    fn from(error: RefundPaymentError) -> Self {
        match error {
            RefundPaymentError::NotFound(_) => Failure::Abort(error.to_string()),
            _ => Failure::Retry(error.to_string()),
        }
    }
}

/// Why a refund was not done.
#[derive(Debug, thiserror::Error)]
pub enum RefundPaymentError {
    #[error("there is no refund {0}")]
    NotFound(RefundId),
    #[error("the payment provider {0} is not switched on")]
    ProviderOff(ProviderName),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<CompleteError> for RefundPaymentError {
    fn from(error: CompleteError) -> Self {
        match error {
            CompleteError::LeaseLost(lost) => Self::LeaseLost(lost),
            CompleteError::Database(error) => Self::Database(error),
        }
    }
}

impl Retryable for RefundPaymentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Promises money back and lets a job see to it. Promised once a payment and reason. Needs the order's lock.
pub(super) async fn request_refund(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    amount_minor: i64,
    reason: RefundReason,
    origin: &Origin,
) -> Result<(), QueryError> {
    let Some(refund) = payments::insert_refund(conn, payment, amount_minor, reason).await? else {
        return Ok(());
    };
    let data = json!({ "refund_id": refund.id, "payment_id": payment.id, "amount_minor": amount_minor, "reason": reason });
    orders::record(conn, payment.order_id, EventKind::RefundRequested, data, origin).await?;
    queue::enqueue(conn, &RefundPayment { refund_id: refund.id }).await?;
    Ok(())
}

/// The whole job: asks the provider, keyed by the refund's id, then writes its answer and completes the job together.
pub async fn run_refund(
    pool: &Pool,
    providers: &Providers,
    refund_id: RefundId,
    lease: Lease,
) -> Result<(), RefundPaymentError> {
    let (payment, refund) = {
        let mut conn = pool.get().await?;
        let refund = payments::find_refund(&mut conn, refund_id).await?;
        let refund = refund.ok_or(RefundPaymentError::NotFound(refund_id))?;
        let payment = payments::find(&mut conn, refund.payment_id).await?;
        (payment.ok_or(RefundPaymentError::NotFound(refund_id))?, refund)
    };
    let provider =
        providers.get(payment.provider).ok_or(RefundPaymentError::ProviderOff(payment.provider))?;
    let outcome = match provider.refund(&payment, &refund).await {
        Err(ProviderError::Refused { detail, .. }) => RefundOutcome::Failed { code: detail },
        answer => answer?,
    };
    let written = db::in_transaction(pool, "complete_refund", async |conn| {
        queue::complete(conn, lease).await?;
        complete_refund(conn, refund_id, &outcome, &Origin::system()).await
    });
    written.await.map_err(|error| match error {
        TransactionError::NoConnection(error) => error.into(),
        TransactionError::RolledBack(error) => error,
    })
}

/// Writes how a refund ended; a second time changes nothing. Locks the order, the payment and the refund.
pub async fn complete_refund(
    conn: &mut AsyncPgConnection,
    refund_id: RefundId,
    outcome: &RefundOutcome,
    origin: &Origin,
) -> Result<(), RefundPaymentError> {
    conn.transaction(async |conn| {
        let refund =
            payments::find_refund(conn, refund_id).await?.ok_or(RefundPaymentError::NotFound(refund_id))?;
        let order = orders::lock(conn, refund.order_id).await?;
        let mut order = order.ok_or(RefundPaymentError::NotFound(refund_id))?;
        let mut payment = payments::lock(conn, refund.payment_id).await?;
        let mut refund = payments::lock_refund(conn, refund_id).await?;
        if refund.status != RefundStatus::Pending {
            return Ok(());
        }
        let data = json!({ "refund_id": refund.id, "amount_minor": refund.amount_minor });
        match outcome {
            RefundOutcome::Succeeded { reference } => {
                refund.status = RefundStatus::Succeeded;
                refund.provider_reference = Some(reference.clone());
                payment.0.refunded_minor += refund.amount_minor;
                payment.0.status = if payment.0.refunded_minor == payment.0.amount_minor {
                    PaymentStatus::Refunded
                } else {
                    PaymentStatus::PartiallyRefunded
                };
                order.give_back(refund.amount_minor);
                payments::update(conn, &mut payment).await?;
                orders::update(conn, &mut order).await?;
                orders::record(conn, order.id, EventKind::RefundSucceeded, data, origin).await?;
                enqueue_email(conn, NewEmail::about_refund(refund.id, &order.email)).await?;
            }
            RefundOutcome::Failed { code } => {
                refund.status = RefundStatus::Failed;
                refund.failure_code = Some(code.clone());
                orders::record(conn, order.id, EventKind::RefundFailed, data, origin).await?;
            }
        }
        payments::update_refund(conn, &refund).await?;
        Ok(())
    })
    .await
}
