//! The job `refund_payment`, and what leads to it. Money goes back: promised in a transaction, asked of the provider by a job,
//! written down once.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::complete_refund::{CompleteRefundError, complete_refund};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError, current_time};
use crate::ids::RefundId;
use crate::orders::{self, EventKind};
use crate::payments::{
    self, Payment, PaymentProvider, ProviderError, ProviderName, Providers, Refund, RefundOutcome,
    RefundReason, RefundStatus,
};
use crate::queue::{self, CompleteError, Failure, Job, JobState, Lease, LeaseLost, NewJob};
use crate::request::Origin;
use crate::schema::jobs;
use crate::settings::ShopSettings;

/// Asks the provider to give money back, and writes what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPayment {
    /// The refund that was written with the event that called for it.
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
#[non_exhaustive]
pub enum RefundPaymentError {
    /// There is no refund with this id.
    #[error("there is no refund {0}")]
    NotFound(RefundId),
    /// This program has no provider of that name, so the money cannot be asked back.
    #[error("the payment provider {0} is not enabled")]
    ProviderOff(ProviderName),
    /// The provider accepted the refund and now denies it: a person must look.
    #[error("the payment provider {provider} accepted the refund as {reference}, but no longer knows it")]
    Forgotten {
        /// The provider.
        provider: ProviderName,
        /// The id that the provider gave the refund.
        reference: String,
    },
    /// The provider failed or did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// Another worker has the job by now, and writes what becomes of it.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// A statement failed.
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

impl From<CompleteRefundError> for RefundPaymentError {
    fn from(error: CompleteRefundError) -> Self {
        match error {
            CompleteRefundError::NotFound(id) => Self::NotFound(id),
            CompleteRefundError::Database(error) => Self::Database(error),
        }
    }
}

impl Retryable for RefundPaymentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Promises money back and lets a job see to it: once a payment and reason, unless that failed. Needs the order's lock.
pub(super) async fn request_refund(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    amount_minor: i64,
    reason: RefundReason,
    origin: &Origin,
) -> QueryResult<()> {
    let dedupe_key = format!("{}:{reason}", payment.id);
    let Some(refund) = payments::insert_refund(conn, payment, amount_minor, reason, &dedupe_key).await?
    else {
        return Ok(());
    };
    let data = json!({ "refund_id": refund.id, "payment_id": payment.id, "amount_minor": amount_minor, "reason": reason });
    orders::record(conn, payment.order_id, EventKind::RefundRequested, data, origin).await?;
    enqueue_refund(conn, refund.id, None).await
}

/// Lets a job see to the refund, at once or at `run_at`. One that waits or runs already will do.
pub(super) async fn enqueue_refund(
    conn: &AsyncPgConnection,
    refund_id: RefundId,
    run_at: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    let job = NewJob::new(&RefundPayment { refund_id })
        .map_err(|error| QueryError::SerializationError(error.into()))?
        .dedupe_by(format!("refund:{refund_id}"));
    let job = match run_at {
        Some(run_at) => job.at(run_at),
        None => job,
    };
    queue::enqueue_all(conn, vec![job]).await
}

/// Whether a job that will see to the refund waits or runs.
pub(super) async fn has_live_job(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<bool> {
    let about_it = sql::<Bool>("payload ->> 'refund_id' = ").bind::<Text, _>(id.to_string());
    let live = jobs::table
        .filter(jobs::kind.eq(RefundPayment::KIND))
        .filter(jobs::state.ne(JobState::Dead))
        .filter(about_it);
    diesel::select(exists(live)).get_result(conn).await
}

/// The whole job: asks the provider, then writes its answer and completes the job together. While the provider says that it
/// takes time, another job follows later.
pub async fn run_refund(
    pool: &Pool,
    shop: &ShopSettings,
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
    let outcome = if refund.status.is_under_way() {
        let off = || RefundPaymentError::ProviderOff(payment.provider.clone());
        let provider = providers.get(&payment.provider).ok_or_else(off)?;
        bring_to_provider(pool, provider, &payment, &refund).await?
    } else {
        None
    };
    let written = db::in_transaction(pool, "complete_refund", async |conn| {
        queue::complete(conn, lease).await?;
        if let Some(outcome) = &outcome {
            let refund = complete_refund(conn, shop, refund_id, outcome, &Origin::system()).await?;
            ask_again_later(conn, &refund).await?;
        }
        Ok(())
    });
    written.await.map_err(|error| match error {
        TransactionError::NoConnection(error) => error.into(),
        TransactionError::RolledBack(error) => error,
    })
}

/// A provider that takes its time is asked again, after as long as it has taken so far.
async fn ask_again_later(conn: &mut AsyncPgConnection, refund: &Refund) -> QueryResult<()> {
    if refund.status != RefundStatus::Processing {
        return Ok(());
    }
    let now = current_time(conn).await?;
    let so_far = now - refund.asked_at.unwrap_or(now);
    let pause = so_far.clamp(chrono::Duration::seconds(30), chrono::Duration::hours(6));
    enqueue_refund(conn, refund.id, Some(now + pause)).await
}

/// Has the money given back, unless the provider was asked before and says how that stands: the key of a request makes it happen
/// once for as long as the provider remembers the key, which may be a day. `None` if the refund has ended meanwhile.
async fn bring_to_provider(
    pool: &Pool,
    provider: &dyn PaymentProvider,
    payment: &Payment,
    refund: &Refund,
) -> Result<Option<RefundOutcome>, RefundPaymentError> {
    let asked_before = refund.asked_at.is_some() || refund.attempt > 1;
    if asked_before {
        match (provider.refund_status(payment, refund).await?, &refund.provider_reference) {
            (Some(outcome @ (RefundOutcome::Succeeded { .. } | RefundOutcome::Pending { .. })), _) => {
                return Ok(Some(outcome));
            }
            (Some(failed), Some(_)) => return Ok(Some(failed)),
            (None, Some(reference)) => {
                let (provider, reference) = (payment.provider.clone(), reference.clone());
                return Err(RefundPaymentError::Forgotten { provider, reference });
            }
            // It never got there, or what failed is the attempt before this one.
            (Some(_) | None, None) => {}
        }
    }
    // Committed before the call: whoever finds the refund after a crash asks how it stands first.
    let asked = payments::mark_asked(&mut *pool.get().await?, refund.id).await?;
    let Some(refund) = asked else { return Ok(None) };
    match provider.refund(payment, &refund).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(ProviderError::Refused { cause, .. }) => {
            Ok(Some(RefundOutcome::Failed { reference: None, code: cause.to_string() }))
        }
        Err(error) => Err(error.into()),
    }
}
