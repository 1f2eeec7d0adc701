//! The job `check_payment`: asks the provider about an attempt that stays open, so that a lost webhook or a lost answer
//! heals by itself. An attempt that the provider cannot end is asked about for some time after the shop has closed it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use serde_json::json;

use super::authorization::lapse;
use super::settle_payment::{SettlePaymentError, settle_payment};
use super::watch_payment::{FIRST_PAUSE, LONGEST_PAUSE, NOTICE, enqueue_check, next_time_closed};
use crate::db::{Pool, PoolError, Retryable, current_time};
use crate::ids::PaymentId;
use crate::notifications::{Template, enqueue_alert};
use crate::orders::{self, EventKind};
use crate::payments::{
    self, AttemptStatus, Payment, PaymentProvider, ProviderError, ProviderName, Providers, in_time,
};
use crate::queue::{self, Failure, Lease, LeaseLost};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Why the provider's answer was not settled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckPaymentError {
    /// There is no payment with this id.
    #[error("there is no payment {0}")]
    NotFound(PaymentId),
    /// This program has no provider with that name, so nobody can be asked.
    #[error("the payment provider {0} is not enabled")]
    ProviderOff(ProviderName),
    /// The provider failed or did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The answer could not be settled.
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
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

impl Retryable for CheckPaymentError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Settle(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<CheckPaymentError> for Failure {
    fn from(error: CheckPaymentError) -> Self {
        match error {
            CheckPaymentError::NotFound(_) => Failure::Abort(error.to_string()),
            _ => Failure::Retry(error.to_string()),
        }
    }
}

/// The longest time that a job waits for one answer of a provider.
pub(super) const PROVIDER_TIMEOUT: Duration = Duration::from_secs(15);

/// The whole job. As long as the attempt can succeed, another job follows after the time that has passed so far.
pub async fn run_check(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    payment_id: PaymentId,
    lease: Lease,
) -> Result<(), CheckPaymentError> {
    let (payment, now) = {
        let mut conn = pool.get().await?;
        (payments::find(&mut conn, payment_id).await?, current_time(&mut conn).await?)
    };
    let payment = payment.ok_or(CheckPaymentError::NotFound(payment_id))?;
    let told = if can_succeed(providers, &payment, now) {
        let off = || CheckPaymentError::ProviderOff(payment.provider.clone());
        let provider = providers.get(&payment.provider).ok_or_else(off)?;
        in_time(&payment.provider, PROVIDER_TIMEOUT, provider.attempt_status(&payment)).await?
    } else {
        None
    };
    queue::complete_with(pool, "check_payment", lease, async |conn: &mut AsyncPgConnection| {
        let payment = match &told {
            Some(outcome) => {
                settle_payment(conn, shop, payment_id, outcome.clone(), &Origin::system()).await?
            }
            None => payments::find(conn, payment_id).await?.ok_or(CheckPaymentError::NotFound(payment_id))?,
        };
        check_again(conn, shop, providers, &payment).await?;
        Ok(())
    })
    .await
}

/// Whether the provider may still take money for the attempt, or the shop may have missed that it did.
fn can_succeed(providers: &Providers, payment: &Payment, now: DateTime<Utc>) -> bool {
    if payment.status.is_open() || payment.succeeded_at.is_some() {
        return payment.status.is_open();
    }
    let late = providers.get(&payment.provider).map(PaymentProvider::may_succeed_late_for);
    late.is_some_and(|late| (now - payment.created_at).to_std().is_ok_and(|age| age < late))
}

async fn check_again(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    providers: &Providers,
    payment: &Payment,
) -> QueryResult<()> {
    let now = current_time(conn).await?;
    if !can_succeed(providers, payment, now) {
        return Ok(());
    }
    if !payment.status.is_open() {
        return enqueue_check(conn, payment.id, next_time_closed(payment, now), "").await;
    }
    let so_far = now - payment.created_at;
    let mut next = now + so_far.clamp(FIRST_PAUSE, LONGEST_PAUSE);
    if payment.status == AttemptStatus::Authorized {
        let lapses_at = lapse(payment);
        if lapses_at - NOTICE <= now {
            tell_lapse(conn, shop, payment, lapses_at).await?;
        } else {
            next = lapses_at - NOTICE;
        }
    }
    enqueue_check(conn, payment.id, next, "").await
}

/// The order shows that its authorization lapses, and the shop gets an alert, once for the payment.
async fn tell_lapse(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    payment: &Payment,
    lapses_at: DateTime<Utc>,
) -> QueryResult<()> {
    let Some(order) = orders::lock(conn, payment.order_id).await? else { return Ok(()) };
    let about = ("payment_id", payment.id.to_string());
    if orders::was_recorded(conn, order.id, EventKind::AuthorizationLapses, about).await? {
        return Ok(());
    }
    let data = json!({ "payment_id": payment.id, "lapses_at": lapses_at });
    orders::record(conn, order.id, EventKind::AuthorizationLapses, data, &Origin::system()).await?;
    let Some(alert_email) = &shop.alert_email else { return Ok(()) };
    let data = json!({ "order_id": order.id, "lapses_at": lapses_at });
    enqueue_alert(conn, Template::AuthorizationLapsesAlert, alert_email, data).await
}
