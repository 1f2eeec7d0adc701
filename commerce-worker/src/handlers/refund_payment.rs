//! `refund_payment`: money goes back.

use commerce_core::db::Pool;
use commerce_core::flows::{self, RefundPaymentError};
use commerce_core::jobs::kinds::RefundPayment;
use commerce_core::jobs::{Failure, Lease};
use commerce_core::payments::Providers;

/// Has the provider give the money back, writes what it answers and completes the job.
pub async fn run(pool: Pool, providers: Providers, lease: Lease, job: RefundPayment) -> Result<(), Failure> {
    match flows::run_refund(&pool, &providers, job.refund_id, lease).await {
        Ok(()) => {
            tracing::info!(refund_id = %job.refund_id, "refund ended");
            Ok(())
        }
        Err(error @ RefundPaymentError::NotFound(_)) => Err(Failure::Abort(error.to_string())),
        Err(error) => Err(Failure::Retry(error.to_string())),
    }
}
