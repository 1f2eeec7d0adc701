//! Cancels orders that were not paid in time and releases their stock. This sweep is safe to run in every
//! replica at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::{StreamExt as _, stream};

use super::cancel_order::cancel_locked;
use super::settle_payment::{SettlePaymentError, settle_payment};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError, clock, current_time};
use crate::ids::OrderId;
use crate::orders::{self, CancelReason, OrderStatus};
use crate::payments::{self, AttemptStatus, Outcome, Payment, Providers};
use crate::request::Origin;
use crate::schema;
use crate::settings::ShopSettings;

/// Why a sweep stopped. Orders that it cancelled before stay cancelled.
#[derive(Debug, thiserror::Error)]
pub enum ExpireOrdersError {
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// A provider's answer about a payment could not be recorded.
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
    /// A statement failed.
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

/// Cancels orders whose time to pay has run out, and returns their number: [`expire_unattempted_orders`],
/// then [`expire_attempted_orders`]. Each takes up to `orders_max`.
pub async fn expire_orders(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    orders_max: i64,
) -> Result<usize, ExpireOrdersError> {
    let unattempted = expire_unattempted_orders(pool, orders_max).await?;
    Ok(unattempted + expire_attempted_orders(pool, shop, providers, orders_max).await?)
}

/// Cancels orders without open attempts to pay, oldest first, each in a transaction of its own. It asks no
/// provider, so a provider that is down cannot delay it.
pub async fn expire_unattempted_orders(pool: &Pool, orders_max: i64) -> Result<usize, ExpireOrdersError> {
    let mut count = 0;
    // The connection is returned before each order takes one.
    let due = list_due(&mut *pool.get().await?, Attempts::None, orders_max).await?;
    for order_id in due {
        let step =
            db::in_transaction(pool, "expire_order", async |conn| cancel_if_due(conn, order_id, false).await)
                .await?;
        count += usize::from(matches!(step, Step::Cancelled));
    }
    Ok(count)
}

/// Cancels orders with open attempts, several at once, each after its attempts were expired at their
/// provider. While the provider cannot be reached the order waits, but no longer than the provider's grace.
pub async fn expire_attempted_orders(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    orders_max: i64,
) -> Result<usize, ExpireOrdersError> {
    let due = list_due(&mut *pool.get().await?, Attempts::Open, orders_max).await?;
    let mut expiring = stream::iter(due)
        .map(|order_id| async move {
            let step = db::in_transaction(pool, "expire_order", async |conn| {
                cancel_if_due(conn, order_id, false).await
            })
            .await?;
            match step {
                Step::Cancelled => Ok(true),
                Step::NotDue => Ok(false),
                Step::OpenAttempts { payments, expires_at } => {
                    close_attempts(pool, shop, providers, order_id, &payments, expires_at).await
                }
            }
        })
        .buffer_unordered(PROVIDER_CALLS_AT_ONCE);
    let mut count = 0;
    while let Some(cancelled) = expiring.next().await {
        let cancelled: Result<bool, ExpireOrdersError> = cancelled;
        count += usize::from(cancelled?);
    }
    Ok(count)
}

const PROVIDER_CALLS_AT_ONCE: usize = 4;

/// The longest time that a sweep waits for one answer of a provider.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempts {
    None,
    Open,
}

async fn list_due(
    conn: &mut AsyncPgConnection,
    attempts: Attempts,
    orders_max: i64,
) -> QueryResult<Vec<OrderId>> {
    use schema::{orders, payments};
    let open_attempt = payments::table
        .filter(payments::order_id.eq(orders::id))
        .filter(payments::status.eq_any(AttemptStatus::OPEN));
    let due = orders::table
        .filter(orders::status.eq(OrderStatus::PendingPayment))
        .filter(orders::expires_at.le(clock().nullable()))
        .limit(orders_max)
        .select(orders::id);
    match attempts {
        Attempts::None => due.filter(not(exists(open_attempt))).order(orders::expires_at).load(conn).await,
        // In random order, so that orders that wait for a provider do not block those whose provider answers.
        Attempts::Open => due.filter(exists(open_attempt)).order(random()).load(conn).await,
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn random() -> diesel::sql_types::Double;
}

enum Step {
    Cancelled,
    /// The order was paid, cancelled or given more time in the meantime.
    NotDue,
    /// A provider may still take money for the order.
    OpenAttempts {
        payments: Vec<Payment>,
        expires_at: DateTime<Utc>,
    },
}

/// Decides under the order's lock. With `regardless` it also cancels an order with open attempts.
async fn cancel_if_due(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    regardless: bool,
) -> Result<Step, ExpireOrdersError> {
    conn.transaction(async |conn| {
        let Some(mut order) = orders::lock(conn, order_id).await? else { return Ok(Step::NotDue) };
        let now = current_time(conn).await?;
        let overdue = order.expires_at.filter(|expires_at| *expires_at <= now);
        let Some(expires_at) = overdue.filter(|_| order.status == OrderStatus::PendingPayment) else {
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

/// Ends the open attempts at their providers, then cancels the order unless one of them turned out to be
/// paid. Returns whether it was cancelled.
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
        let answer = match providers.get(&payment.provider) {
            Some(provider) => {
                payments::in_time(&payment.provider, PROVIDER_TIMEOUT, provider.expire(payment)).await
            }
            // The provider is not enabled, so nobody can be asked. Money that still comes is a late payment.
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
