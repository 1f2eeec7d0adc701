//! The job `end_payment`: makes sure that the provider takes no money for an attempt that the shop has closed, and lets
//! go of what was authorized.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use serde::{Deserialize, Serialize};

use super::check_payment::{CheckPaymentError, PROVIDER_TIMEOUT};
use super::settle_payment::settle_payment;
use crate::db::{self, Pool};
use crate::ids::PaymentId;
use crate::payments::{self, Outcome, ProviderError, Providers};
use crate::queue::{self, Job, Lease, NewJob};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Ends a closed attempt at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndPayment {
    /// The attempt.
    pub payment_id: PaymentId,
}

impl Job for EndPayment {
    const KIND: &'static str = "end_payment";
    const ATTEMPTS_MAX: i32 = 20;
}

/// Has the attempt ended at its provider, once.
pub(super) async fn end_at_provider(conn: &AsyncPgConnection, payment_id: PaymentId) -> QueryResult<()> {
    let job = NewJob::new(&EndPayment { payment_id })
        .map_err(|error| QueryError::SerializationError(error.into()))?
        .dedupe_by(format!("end_payment:{payment_id}"));
    queue::enqueue_all(conn, vec![job]).await
}

/// The whole job. If the attempt turns out to have succeeded, its money is late and is settled so.
pub async fn run_end(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    payment_id: PaymentId,
    lease: Lease,
) -> Result<(), CheckPaymentError> {
    let payment = payments::find(&mut *pool.get().await?, payment_id).await?;
    let payment = payment.ok_or(CheckPaymentError::NotFound(payment_id))?;
    let outcome = match providers.end(&payment, PROVIDER_TIMEOUT).await {
        Err(error @ ProviderError::Refused { .. }) => {
            tracing::warn!(%payment_id, %error, "a provider does not end an attempt");
            Outcome::Expired
        }
        answer => answer?,
    };
    db::in_transaction(pool, "end_payment", async |conn| {
        queue::complete(conn, lease).await?;
        settle_payment(conn, shop, payment_id, outcome.clone(), &Origin::system()).await?;
        Ok::<_, CheckPaymentError>(())
    })
    .await?;
    Ok(())
}
