//! The job `end_payment`: makes sure that the provider takes no money for an attempt that the shop has closed, and lets
//! go of what was authorized.

use diesel_async::AsyncPgConnection;

use super::check_payment::{CheckPaymentError, PROVIDER_TIMEOUT};
use super::settle_payment::settle_payment;
use super::watch_payment::end_later;
use crate::db::Pool;
use crate::ids::PaymentId;
use crate::payments::{self, Outcome, ProviderError, Providers};
use crate::queue::{self, Lease};
use crate::request::Origin;
use crate::settings::ShopSettings;

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
    queue::complete_with(pool, "end_payment", lease, async |conn: &mut AsyncPgConnection| {
        let payment = settle_payment(conn, shop, payment_id, outcome.clone(), &Origin::system()).await?;
        // A bank debit takes days. Nobody else asks about an attempt that is closed.
        if matches!(outcome, Outcome::Processing { .. }) && !payment.status.is_open() {
            end_later(conn, &payment).await?;
        }
        Ok(())
    })
    .await
}
