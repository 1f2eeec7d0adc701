//! Ends earlier attempts to pay an order, so that a new one cannot take the money twice.

use std::time::Duration;

use diesel::result::Error as QueryError;

use super::settle_payment::{SettlePaymentError, settle_payment};
use crate::db::{self, Pool, PoolError, TransactionError, current_time};
use crate::ids::OrderId;
use crate::payments::limits::BEGIN_TIME;
use crate::payments::{self, AttemptStatus, ProviderError, Providers};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Why an earlier attempt may still take money. Attempts that ended before stay ended.
#[derive(Debug, thiserror::Error)]
pub enum SupersedeAttemptsError {
    /// The provider is being asked for the money right now, or will not end the attempt.
    #[error("another payment for this order is under way")]
    UnderWay,
    /// The provider did not answer.
    #[error(transparent)]
    Unreachable(ProviderError),
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// The provider's answer could not be recorded.
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

/// The longest time that a shopper waits for the end of one attempt.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends all open attempts to pay the order at their providers and settles what the providers say. An attempt
/// that turns out to be paid counts. Call it outside of any transaction, when
/// [`begin_payment`](super::begin_payment()) says that another payment is under way; then begin again.
pub async fn supersede_attempts(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    order_id: OrderId,
    origin: &Origin,
) -> Result<(), SupersedeAttemptsError> {
    let (open, now) = {
        let mut conn = pool.get().await?;
        (payments::list_open(&mut conn, order_id).await?, current_time(&mut conn).await?)
    };
    for payment in open {
        let age = (now - payment.updated_at).to_std().unwrap_or_default();
        if payment.status == AttemptStatus::Pending && age < BEGIN_TIME {
            return Err(SupersedeAttemptsError::UnderWay);
        }
        let outcome = match providers.end(&payment, PROVIDER_TIMEOUT).await {
            Ok(outcome) => outcome,
            Err(error @ ProviderError::Refused { .. }) => {
                tracing::warn!(payment_id = %payment.id, %error, "a provider does not end an attempt");
                return Err(SupersedeAttemptsError::UnderWay);
            }
            Err(error) => return Err(SupersedeAttemptsError::Unreachable(error)),
        };
        db::in_transaction(pool, "supersede_attempt", async |conn| {
            settle_payment(conn, shop, payment.id, outcome.clone(), origin).await
        })
        .await
        .map_err(|error| match error {
            TransactionError::NoConnection(error) => SupersedeAttemptsError::from(error),
            TransactionError::RolledBack(error) => error.into(),
        })?;
    }
    Ok(())
}
