//! Staff have refunded money without the provider, in cash or by bank transfer.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::complete_refund::{count_refund, lock_refund_of_order};
use super::refund_payment::has_live_job;
use crate::db::Retryable;
use crate::ids::RefundId;
use crate::orders::EventKind;
use crate::payments::{self, Refund, RefundStatus};
use crate::request::Origin;
use crate::text::free_text;

/// Why the refund does not count as paid by hand. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SettleRefundByHandError {
    /// There is no such refund.
    #[error("there is no such refund")]
    NotFound,
    /// The refund has succeeded.
    #[error("the refund has already succeeded")]
    Succeeded,
    /// The provider has the refund and may still pay it.
    #[error("the refund is in progress at its provider")]
    UnderWay,
    /// Another refund with the same dedupe key has not failed, or the payment or the lines have too little left.
    #[error("another refund of the same payment has replaced this one")]
    Replaced,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for SettleRefundByHandError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Records a refund that failed, whose job died, or whose payment was manual, as paid. `note` says how. It locks the order, the payment
/// and the refund.
pub async fn settle_refund_by_hand(
    conn: &mut AsyncPgConnection,
    refund_id: RefundId,
    note: &str,
    origin: &Origin,
) -> Result<Refund, SettleRefundByHandError> {
    let note = &*free_text(note);
    conn.transaction(async |conn| {
        let locked = lock_refund_of_order(conn, refund_id).await?;
        let mut locked = locked.ok_or(SettleRefundByHandError::NotFound)?;
        match locked.refund.status {
            RefundStatus::Succeeded => return Err(SettleRefundByHandError::Succeeded),
            RefundStatus::Pending | RefundStatus::Processing => {
                // Nobody but staff pays the refund of a manual payment.
                if !locked.payment.is_manual() && has_live_job(conn, refund_id).await? {
                    return Err(SettleRefundByHandError::UnderWay);
                }
            }
            RefundStatus::Failed => {
                if !payments::has_room(conn, &locked.payment, &locked.refund).await? {
                    return Err(SettleRefundByHandError::Replaced);
                }
            }
        }
        locked.refund.succeed_by_hand(conn, note).await?;
        let amount_minor = locked.refund.amount_minor;
        let data = json!({ "refund_id": refund_id, "amount_minor": amount_minor, "note": note });
        count_refund(conn, &mut locked, EventKind::RefundPaidByHand, data, origin).await?;
        Ok(locked.refund.into_refund())
    })
    .await
}
