//! Orders that were not paid in time are cancelled and their stock given back. A sweep: safe to run in every replica at once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::cancel_order::cancel_locked;
use super::settle_payment::{SettlePaymentError, settle_payment};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError, clock, current_time};
use crate::ids::OrderId;
use crate::orders::{self, CancelReason, OrderStatus};
use crate::payments::{self, Outcome, Payment, Providers};
use crate::request::Origin;
use crate::schema;
use crate::settings::ShopSettings;

/// Why a sweep stopped; what it expired before stays expired.
#[derive(Debug, thiserror::Error)]
pub enum ExpireOrdersError {
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ExpireOrdersError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Settle(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            Self::NoConnection(_) => false,
        }
    }
}

impl<E: Into<ExpireOrdersError>> From<TransactionError<E>> for ExpireOrdersError {
    fn from(error: TransactionError<E>) -> Self {
        match error {
            TransactionError::NoConnection(error) => error.into(),
            TransactionError::RolledBack(error) => error.into(),
        }
    }
}

/// Cancels up to `orders_max` orders whose time to pay is over, oldest first, each in a transaction of its own, and returns
/// how many. An order with an open attempt is first expired at its provider; while that cannot be reached the order waits, for
/// the provider's grace at the most.
pub async fn expire_orders(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    orders_max: i64,
) -> Result<usize, ExpireOrdersError> {
    let due = {
        let mut conn = pool.get().await?;
        list_due(&mut conn, orders_max).await?
    };
    let mut count = 0;
    for order_id in due {
        let step =
            db::in_transaction(pool, "expire_order", async |conn| cancel_if_due(conn, order_id, false).await)
                .await?;
        let cancelled = match step {
            Step::Cancelled => true,
            Step::NotDue => false,
            Step::OpenAttempts { payments, expires_at } => {
                close_attempts(pool, shop, providers, order_id, &payments, expires_at).await?
            }
        };
        count += usize::from(cancelled);
    }
    Ok(count)
}

async fn list_due(conn: &mut AsyncPgConnection, orders_max: i64) -> QueryResult<Vec<OrderId>> {
    use schema::orders;
    orders::table
        .filter(orders::status.eq(OrderStatus::PendingPayment))
        .filter(orders::expires_at.le(clock().nullable()))
        .order(orders::expires_at)
        .limit(orders_max)
        .select(orders::id)
        .load(conn)
        .await
}

enum Step {
    Cancelled,
    /// Paid, cancelled or given more time meanwhile.
    NotDue,
    /// A provider may still take money for it.
    OpenAttempts {
        payments: Vec<Payment>,
        expires_at: DateTime<Utc>,
    },
}

/// Decides under the order's lock. `regardless` cancels also with open attempts.
async fn cancel_if_due(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    regardless: bool,
) -> Result<Step, ExpireOrdersError> {
    conn.transaction(async |conn| {
        let Some(mut order) = orders::lock(conn, order_id).await? else { return Ok(Step::NotDue) };
        let now = current_time(conn).await?;
        let overdue = order.0.expires_at.filter(|expires_at| *expires_at <= now);
        let Some(expires_at) = overdue.filter(|_| order.0.status == OrderStatus::PendingPayment) else {
            return Ok(Step::NotDue);
        };
        let payments = payments::list_open(conn, order_id).await?;
        if !payments.is_empty() && !regardless {
            return Ok(Step::OpenAttempts { payments, expires_at });
        }
        cancel_locked(conn, &mut order, CancelReason::Expired, &Origin::system()).await?;
        Ok(Step::Cancelled)
    })
    .await
}

/// Ends the open attempts at their providers, then cancels, unless one turned out to be paid. Whether it was cancelled.
async fn close_attempts(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    order_id: OrderId,
    attempts: &[Payment],
    expires_at: DateTime<Utc>,
) -> Result<bool, ExpireOrdersError> {
    let mut unreachable = false;
    for payment in attempts {
        let answer = match providers.get(payment.provider) {
            Some(provider) => provider.expire(payment).await,
            // Switched off: nobody can be asked, so what may still come is a late payment.
            None => Ok(Outcome::Expired),
        };
        match answer {
            Ok(outcome) => {
                db::in_transaction(pool, "settle_expired_attempt", async |conn| {
                    settle_payment(conn, shop, payment.id, outcome.clone(), &Origin::system()).await
                })
                .await?;
            }
            Err(error) => {
                tracing::warn!(payment_id = %payment.id, %error, "an attempt could not be expired at its provider");
                unreachable = true;
            }
        }
    }
    let grace = chrono::Duration::from_std(shop.provider_grace).unwrap_or(chrono::Duration::MAX);
    let now = current_time(&mut *pool.get().await?).await?;
    let out_of_patience = expires_at.checked_add_signed(grace).is_some_and(|end| end <= now);
    if unreachable && !out_of_patience {
        return Ok(false);
    }
    let step = db::in_transaction(pool, "expire_order", async |conn| {
        cancel_if_due(conn, order_id, out_of_patience).await
    })
    .await?;
    Ok(matches!(step, Step::Cancelled))
}
