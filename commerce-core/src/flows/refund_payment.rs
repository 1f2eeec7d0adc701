//! The job `refund_payment`, and what leads to it. A refund is requested in a transaction, a job asks the
//! provider for it, and it is recorded once.

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
use crate::db::{Pool, PoolError, Retryable, current_time};
use crate::ids::RefundId;
use crate::notifications::{Template, enqueue_alert};
use crate::orders::{self, EventKind};
use crate::payments::{
    self, NewRefund, Payment, PaymentProvider, ProviderError, ProviderName, Providers, Refund, RefundOutcome,
    RefundReason, RefundStatus,
};
use crate::queue::{self, Failure, Job, JobState, Lease, LeaseLost, NewJob};
use crate::request::Origin;
use crate::schema::jobs;
use crate::settings::ShopSettings;

/// Asks the provider to refund money, and records the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPayment {
    /// The refund. It was written together with the event that caused it.
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
    /// This program has no provider with that name, so the money cannot be refunded.
    #[error("the payment provider {0} is not enabled")]
    ProviderOff(ProviderName),
    /// The provider accepted the refund and now denies it. A person must look into it.
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
    /// Another worker has taken over the job and records the result.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
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

/// Requests a refund and enqueues its job: once for each payment and reason, unless the former refund failed.
/// Needs the order's lock.
pub(super) async fn request_refund(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    amount_minor: i64,
    reason: RefundReason,
    origin: &Origin,
) -> QueryResult<()> {
    let refund = NewRefund::once(payment, amount_minor, reason);
    match payments::insert_refund(conn, refund).await? {
        Some(refund) => begin_refund(conn, &refund, origin).await,
        None => Ok(()),
    }
}

/// Records a refund that was just written in the order's timeline, and enqueues its job.
pub(super) async fn begin_refund(
    conn: &mut AsyncPgConnection,
    refund: &Refund,
    origin: &Origin,
) -> QueryResult<()> {
    let data = json!({
        "refund_id": refund.id, "payment_id": refund.payment_id, "amount_minor": refund.amount_minor,
        "reason": refund.reason,
    });
    orders::record(conn, refund.order_id, EventKind::RefundRequested, data, origin).await?;
    enqueue_refund(conn, refund.id, None).await
}

/// Enqueues a job for the refund, to run at once or at `run_at`. If such a job already waits or runs, that
/// one is enough.
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

/// Whether a job for the refund waits or runs.
pub(super) async fn has_live_job(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<bool> {
    let about_it = sql::<Bool>("payload ->> 'refund_id' = ").bind::<Text, _>(id.to_string());
    let live = jobs::table
        .filter(jobs::kind.eq(RefundPayment::KIND))
        .filter(jobs::state.ne(JobState::Dead))
        .filter(about_it);
    diesel::select(exists(live)).get_result(conn).await
}

/// The whole job: asks the provider, then records its answer and completes the job in one transaction. As
/// long as the provider has not finished, another job follows later.
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
    if payment.is_manual() {
        return ask_staff(pool, shop, &refund, lease).await;
    }
    let outcome = if refund.status.is_under_way() {
        let off = || RefundPaymentError::ProviderOff(payment.provider.clone());
        let provider = providers.get(&payment.provider).ok_or_else(off)?;
        bring_to_provider(pool, provider, &payment, &refund).await?
    } else {
        None
    };
    queue::complete_with(pool, "complete_refund", lease, async |conn: &mut AsyncPgConnection| {
        if let Some(outcome) = &outcome {
            let refund = complete_refund(conn, shop, refund_id, outcome, &Origin::system()).await?;
            ask_again_later(conn, &refund).await?;
        }
        Ok(())
    })
    .await
}

/// A refund of a manual payment is paid by a person, so it stays pending, and the shop gets a mail. It waits
/// for [`settle_refund_by_hand`](super::settle_refund_by_hand()).
async fn ask_staff(
    pool: &Pool,
    shop: &ShopSettings,
    refund: &Refund,
    lease: Lease,
) -> Result<(), RefundPaymentError> {
    queue::complete_with(pool, "ask_staff_for_refund", lease, async |conn: &mut AsyncPgConnection| {
        if let Some(alert_email) = &shop.alert_email
            && refund.status.is_under_way()
        {
            let data = json!({ "refund_id": refund.id });
            enqueue_alert(conn, Template::RefundByHandAlert, alert_email, data).await?;
        }
        Ok(())
    })
    .await
}

/// If the provider has not finished, it is asked again after the time that has passed so far.
async fn ask_again_later(conn: &mut AsyncPgConnection, refund: &Refund) -> QueryResult<()> {
    if refund.status != RefundStatus::Processing {
        return Ok(());
    }
    let now = current_time(conn).await?;
    let so_far = now - refund.asked_at.unwrap_or(now);
    let pause = so_far.clamp(chrono::Duration::seconds(30), chrono::Duration::hours(6));
    enqueue_refund(conn, refund.id, Some(now + pause)).await
}

/// Asks the provider for the refund, unless it was asked before and can tell the state of the refund. The key
/// of a request makes the refund happen once, but only as long as the provider remembers the key, which may
/// be a day. `None` if the refund has ended in the meantime.
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
            // The request never reached the provider, or the attempt before this one failed.
            (Some(_) | None, None) => {}
        }
    }
    // This is committed before the call. After a crash, the next worker first asks for the state of the
    // refund.
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
