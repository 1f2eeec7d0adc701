//! Staff retry a refund.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::complete_refund::lock_refund_of_order;
use super::refund_payment::{enqueue_refund, has_live_job};
use crate::db::Retryable;
use crate::ids::RefundId;
use crate::orders::{self, EventKind};
use crate::payments::{self, Refund, RefundStatus};
use crate::request::Origin;

/// Why a refund is not retried. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RetryRefundError {
    /// There is no such refund.
    #[error("there is no such refund")]
    NotFound,
    /// The refund has succeeded.
    #[error("the refund has already succeeded")]
    Succeeded,
    /// The refund has not failed: it waits, or the provider has it.
    #[error("the refund is in progress")]
    UnderWay,
    /// The payment came in without a provider. Its refund is paid by hand.
    #[error("the refund of a manual payment is paid by hand")]
    ByHand,
    /// Another refund with the same dedupe key has not failed, or the payment or the lines have too little left.
    #[error("another refund of the same payment has replaced this one")]
    Replaced,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for RetryRefundError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Begins another attempt at a failed refund, or a new job for a refund whose job died. The job asks the
/// provider for the state of the refund before it asks for the money. It locks the order, the payment and the
/// refund.
pub async fn retry_refund(
    conn: &mut AsyncPgConnection,
    refund_id: RefundId,
    origin: &Origin,
) -> Result<Refund, RetryRefundError> {
    conn.transaction(async |conn| {
        let locked = lock_refund_of_order(conn, refund_id).await?;
        let mut locked = locked.ok_or(RetryRefundError::NotFound)?;
        if locked.payment.is_manual() {
            return Err(RetryRefundError::ByHand);
        }
        let refund = &mut locked.refund;
        let before = json!({ "refund_id": refund.id, "amount_minor": refund.amount_minor,
            "failure_code": refund.failure_code, "reference": refund.provider_reference });
        match refund.status {
            RefundStatus::Succeeded => return Err(RetryRefundError::Succeeded),
            RefundStatus::Pending | RefundStatus::Processing => {
                if has_live_job(conn, refund_id).await? {
                    return Err(RetryRefundError::UnderWay);
                }
            }
            RefundStatus::Failed => {
                if !payments::has_room(conn, &locked.payment, refund).await? {
                    return Err(RetryRefundError::Replaced);
                }
                refund.begin_anew(conn).await?;
            }
        }
        orders::record(conn, refund.order_id, EventKind::RefundRetried, before, origin).await?;
        enqueue_refund(conn, refund_id, None).await?;
        Ok(locked.refund.into_refund())
    })
    .await
}
