//! Cancels orders that were not paid in time and releases their stock. This sweep is safe to run in every
//! replica at once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::{StreamExt as _, stream};

use super::cancel_order::{CancelChoices, cancel_locked};
use super::settle_payment::{SettlePaymentError, settle_payment};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError, clock, current_time};
use crate::ids::OrderId;
use crate::orders::{self, CancelReason, OrderStatus};
use crate::payments::{self, AttemptStatus, Outcome, Payment, ProviderError, Providers};
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
/// then [`expire_attempted_orders`], each with this `batch`.
pub async fn expire_orders(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    batch: i64,
) -> Result<usize, ExpireOrdersError> {
    let unattempted = expire_unattempted_orders(pool, batch).await?;
    Ok(unattempted + expire_attempted_orders(pool, shop, providers, batch).await?)
}

/// Cancels all orders without open attempts to pay, oldest first, each in a transaction of its own. It asks
/// no provider, so a provider that is down cannot delay it. It reads `batch` orders at a time.
///
/// An order that cannot be cancelled is logged and counted in `commerce_sweep_failures_total`. The others are
/// cancelled nevertheless, even if all of a batch fail.
pub async fn expire_unattempted_orders(pool: &Pool, batch: i64) -> Result<usize, ExpireOrdersError> {
    let mut count = 0;
    let mut after = (DateTime::UNIX_EPOCH, OrderId(uuid::Uuid::nil()));
    loop {
        // The connection is returned before each order takes one.
        let due = list_unattempted(&mut *pool.get().await?, after, batch).await?;
        let Some(last) = due.last() else { return Ok(count) };
        after = *last;
        for (_, order_id) in due {
            let step = db::in_transaction(pool, "expire_order", async |conn| {
                cancel_if_due(conn, order_id, false).await
            })
            .await;
            let cancelled = step.map(|step| matches!(step, Step::Cancelled)).map_err(ExpireOrdersError::from);
            count += usize::from(skip_if_failed("expire_orders", order_id, cancelled)?);
        }
    }
}

/// Cancels up to `orders_max` orders with open attempts, several at once, each after its attempts were
/// expired at their provider. While the provider cannot be reached the order waits, but no longer than the
/// provider's grace. The provider is asked again after growing delays, however many processes run this.
///
/// An order that fails does not stop the others, as in [`expire_unattempted_orders`].
pub async fn expire_attempted_orders(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    orders_max: i64,
) -> Result<usize, ExpireOrdersError> {
    let due = payments::claim_to_ask(&mut *pool.get().await?, shop.provider_grace, orders_max).await?;
    // All are completed before the first error is returned, so that no transaction is abandoned.
    let expired: Vec<Result<bool, ExpireOrdersError>> = stream::iter(due)
        .map(|order_id| async move {
            let cancelled = expire_attempted_order(pool, shop, providers, order_id).await;
            skip_if_failed("expire_attempted_orders", order_id, cancelled)
        })
        .buffer_unordered(PROVIDER_CALLS_AT_ONCE)
        .collect()
        .await;
    let mut count = 0;
    for cancelled in expired {
        count += usize::from(cancelled?);
    }
    Ok(count)
}

const PROVIDER_CALLS_AT_ONCE: usize = 4;

/// The longest time that a sweep waits for one answer of a provider.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(15);

/// Logs and counts the failure of one order, which is then not cancelled. A lack of connections concerns all
/// orders, so it is returned.
fn skip_if_failed(
    sweep: &'static str,
    order_id: OrderId,
    cancelled: Result<bool, ExpireOrdersError>,
) -> Result<bool, ExpireOrdersError> {
    match cancelled {
        Err(error @ (ExpireOrdersError::Settle(_) | ExpireOrdersError::Database(_))) => {
            tracing::error!(sweep, %order_id, %error, "an order could not be expired");
            metrics::counter!("commerce_sweep_failures_total", "sweep" => sweep).increment(1);
            Ok(false)
        }
        cancelled => cancelled,
    }
}

/// The next orders without open attempts after this time and id.
async fn list_unattempted(
    conn: &mut AsyncPgConnection,
    (expires_at, id): (DateTime<Utc>, OrderId),
    orders_max: i64,
) -> QueryResult<Vec<(DateTime<Utc>, OrderId)>> {
    use schema::{orders, payments};
    let open_attempt = payments::table
        .filter(payments::order_id.eq(orders::id))
        .filter(payments::status.eq_any(AttemptStatus::OPEN));
    orders::table
        .filter(orders::status.eq(OrderStatus::PendingPayment))
        .filter(orders::expires_at.le(clock().nullable()))
        .filter(not(exists(open_attempt)))
        .filter(orders::expires_at.ge(expires_at))
        .filter(orders::expires_at.assume_not_null().gt(expires_at).or(orders::id.gt(id)))
        .order((orders::expires_at, orders::id))
        .limit(orders_max)
        .select((orders::expires_at.assume_not_null(), orders::id))
        .load(conn)
        .await
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
        cancel_locked(conn, &mut order, CancelReason::Expired, CancelChoices::default(), &Origin::system())
            .await?;
        Ok(Step::Cancelled)
    })
    .await
}

async fn expire_attempted_order(
    pool: &Pool,
    shop: &ShopSettings,
    providers: &Providers,
    order_id: OrderId,
) -> Result<bool, ExpireOrdersError> {
    let step =
        db::in_transaction(pool, "expire_order", async |conn| cancel_if_due(conn, order_id, false).await)
            .await?;
    match step {
        Step::Cancelled => Ok(true),
        Step::NotDue => Ok(false),
        Step::OpenAttempts { payments, expires_at } => {
            close_attempts(pool, shop, providers, order_id, &payments, expires_at).await
        }
    }
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
        let answer = providers.end(payment, PROVIDER_TIMEOUT).await;
        // A provider that refuses will not do it later either, so nothing is gained by waiting.
        let answer = match answer {
            Err(error @ ProviderError::Refused { .. }) => {
                tracing::warn!(payment_id = %payment.id, %error, "an attempt ends although its provider refused");
                Ok(Outcome::Expired)
            }
            answer => answer,
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
