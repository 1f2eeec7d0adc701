//! Scheduled work that no change causes. Each sweep is safe to run in several processes at once.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Services;
use crate::catalog::image::{self, FilesError};
use crate::db::{PoolError, Prepared};
use crate::flows::{self, ExpireOrdersError};
use crate::search::IndexError;
use crate::{
    accounts, cart, idempotency, inventory, notifications, orders, payments, queue, rate_limit, returns,
};

/// A task that is repeated on a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sweep {
    /// Cancels orders that were not paid in time and have no open attempts to pay.
    ExpireOrders,
    /// The same for orders with open attempts. It is separate because it asks providers: a provider that does
    /// not answer delays only these orders.
    ExpireAttemptedOrders,
    /// Releases holds of carts that have lapsed.
    ReleaseLapsedHolds,
    /// Deletes stored answers that have expired.
    PruneIdempotencyKeys,
    /// Deletes mailed codes that have expired.
    PruneCodes,
    /// Deletes sessions that have ended.
    PruneSessions,
    /// Deletes rate limit rows that no longer limit anything.
    PruneRateLimits,
    /// Deletes mails of long ago.
    PruneEmails,
    /// Deletes jobs that died long ago.
    PruneDeadJobs,
    /// Deletes carts that their guests left long ago.
    PruneGuestCarts,
    /// Deletes accounts whose address was not verified.
    PruneUnverifiedAccounts,
    /// Forgets networks from which nobody has logged in for long.
    PruneKnownNetworks,
    /// Deletes webhooks of long ago.
    PruneWebhooks,
    /// Mails the shop once a day which variants have become low. Does nothing if the shop has no address for alerts.
    TellLowStock,
    /// Deletes links to orders that are no longer good.
    PruneOrderLinks,
    /// Deletes declarations of withdrawal that were not confirmed.
    PruneWithdrawals,
    /// Deletes files that belong to no image.
    SweepFiles,
    /// Builds the search index if there is none, and sends changes that no job has sent. Does nothing if
    /// Postgres alone searches.
    KeepSearchIndex,
}

/// How many rows a sweep processes at a time.
const BATCH: i64 = 100;

/// How many rows one statement of a prune deletes.
const PRUNE_BATCH: i64 = 500;

const MINUTE: Duration = Duration::from_secs(60);

impl Sweep {
    /// All sweeps that a shop needs.
    pub const ALL: [Self; 18] = [
        Self::ExpireOrders,
        Self::ExpireAttemptedOrders,
        Self::ReleaseLapsedHolds,
        Self::PruneIdempotencyKeys,
        Self::PruneCodes,
        Self::PruneSessions,
        Self::PruneRateLimits,
        Self::PruneEmails,
        Self::PruneDeadJobs,
        Self::PruneGuestCarts,
        Self::PruneUnverifiedAccounts,
        Self::PruneKnownNetworks,
        Self::PruneWebhooks,
        Self::TellLowStock,
        Self::PruneOrderLinks,
        Self::PruneWithdrawals,
        Self::SweepFiles,
        Self::KeepSearchIndex,
    ];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExpireOrders => "expire_orders",
            Self::ExpireAttemptedOrders => "expire_attempted_orders",
            Self::ReleaseLapsedHolds => "release_lapsed_holds",
            Self::PruneIdempotencyKeys => "prune_idempotency_keys",
            Self::PruneCodes => "prune_codes",
            Self::PruneSessions => "prune_sessions",
            Self::PruneRateLimits => "prune_rate_limits",
            Self::PruneEmails => "prune_emails",
            Self::PruneDeadJobs => "prune_dead_jobs",
            Self::PruneGuestCarts => "prune_guest_carts",
            Self::PruneUnverifiedAccounts => "prune_unverified_accounts",
            Self::PruneKnownNetworks => "prune_known_networks",
            Self::PruneWebhooks => "prune_webhooks",
            Self::TellLowStock => "tell_low_stock",
            Self::PruneOrderLinks => "prune_order_links",
            Self::PruneWithdrawals => "prune_withdrawals",
            Self::SweepFiles => "sweep_files",
            Self::KeepSearchIndex => "keep_search_index",
        }
    }

    /// How often it should run.
    pub const fn every(self) -> Duration {
        match self {
            Self::ExpireOrders | Self::ExpireAttemptedOrders | Self::ReleaseLapsedHolds => {
                Duration::from_secs(1)
            }
            Self::KeepSearchIndex => Duration::from_secs(5),
            Self::PruneIdempotencyKeys | Self::PruneCodes | Self::PruneRateLimits => MINUTE,
            Self::SweepFiles => MINUTE.saturating_mul(5),
            Self::TellLowStock => MINUTE.saturating_mul(15),
            Self::PruneSessions
            | Self::PruneEmails
            | Self::PruneDeadJobs
            | Self::PruneGuestCarts
            | Self::PruneUnverifiedAccounts
            | Self::PruneKnownNetworks
            | Self::PruneWebhooks
            | Self::PruneOrderLinks
            | Self::PruneWithdrawals => MINUTE.saturating_mul(60),
        }
    }

    /// Whether it handles things that expire at a certain moment. [`time_left`] tells how far away that
    /// moment is.
    pub const fn waits_for_moments(self) -> bool {
        matches!(self, Self::ExpireOrders | Self::ExpireAttemptedOrders | Self::ReleaseLapsedHolds)
    }

    /// Runs the sweep once, and returns the number of things that it changed. Call it with no transaction
    /// open.
    pub async fn run(self, services: &Services) -> Result<usize, SweepError> {
        let mut changed = 0;
        loop {
            let batch = self.run_batch(services).await?;
            changed += batch;
            let perhaps_more = i64::try_from(batch).is_ok_and(|batch| batch >= BATCH);
            if !perhaps_more || !self.comes_in_batches() {
                return Ok(changed);
            }
        }
    }

    /// Whether it is repeated after a full batch. The others repeat themselves as often as they should.
    const fn comes_in_batches(self) -> bool {
        matches!(self, Self::ReleaseLapsedHolds | Self::SweepFiles)
    }

    async fn run_batch(self, services: &Services) -> Result<usize, SweepError> {
        let Services { pool, shop, providers, media, search_index, .. } = services;
        Ok(match self {
            Self::ExpireOrders => flows::expire_unattempted_orders(pool, BATCH).await?,
            Self::ExpireAttemptedOrders => {
                flows::expire_attempted_orders(pool, shop, providers, BATCH).await?
            }
            Self::ReleaseLapsedHolds => {
                inventory::release_lapsed_holds(&mut *pool.get().await?, BATCH).await?
            }
            Self::PruneIdempotencyKeys => idempotency::prune(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneCodes => {
                accounts::one_time_code::prune_codes(&mut *pool.get().await?, PRUNE_BATCH).await?
            }
            Self::PruneSessions => accounts::prune_sessions(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneRateLimits => rate_limit::prune(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneEmails => notifications::prune(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneDeadJobs => queue::prune_dead(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneGuestCarts => cart::prune_guest_carts(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneUnverifiedAccounts => {
                accounts::prune_unverified(&mut *pool.get().await?, PRUNE_BATCH).await?
            }
            Self::PruneKnownNetworks => {
                accounts::prune_networks(&mut *pool.get().await?, PRUNE_BATCH).await?
            }
            Self::PruneWebhooks => payments::prune_webhooks(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::TellLowStock => match &shop.alert_email {
                Some(address) => flows::tell_low_stock(&mut *pool.get().await?, address).await?,
                None => 0,
            },
            Self::PruneOrderLinks => orders::prune_links(&mut *pool.get().await?, PRUNE_BATCH).await?,
            Self::PruneWithdrawals => {
                returns::prune_withdrawals(&mut *pool.get().await?, PRUNE_BATCH).await?
            }
            Self::SweepFiles => image::sweep_files(pool, media, BATCH).await?,
            Self::KeepSearchIndex => search_index.keep(pool).await?,
        })
    }
}

/// Why a sweep stopped. What it did before stays done, and its next run continues.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// Unpaid orders could not be cancelled.
    #[error(transparent)]
    ExpireOrders(#[from] ExpireOrdersError),
    /// Files that belong to no image could not be deleted.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The search index could not be brought up to date.
    #[error(transparent)]
    SearchIndex(#[from] IndexError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// The time that is left until something expires. Zero if it has expired; `None` if nothing expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLeft {
    /// The time until the next unpaid order must be cancelled.
    pub orders: Option<Duration>,
    /// The time until the next hold of a cart lapses.
    pub holds: Option<Duration>,
}

impl TimeLeft {
    /// The time until the first thing that this sweep handles. `None` if there is nothing, or if the sweep
    /// does not wait for moments.
    pub fn until(&self, sweep: Sweep) -> Option<Duration> {
        match sweep {
            Sweep::ExpireOrders | Sweep::ExpireAttemptedOrders => self.orders,
            Sweep::ReleaseLapsedHolds => self.holds,
            _ => None,
        }
    }
}

#[derive(QueryableByName)]
struct TimeLeftRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    orders_ms: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    holds_ms: Option<i64>,
}

/// One cheap query that replaces a run of each sweep that waits for a moment.
pub async fn time_left(conn: &mut AsyncPgConnection) -> QueryResult<TimeLeft> {
    let look = diesel::sql_query(
        "SELECT (SELECT ceil(extract(epoch FROM min(expires_at) - commerce.clock()) * 1000)::bigint
                 FROM commerce.orders WHERE status = 'pending_payment') AS orders_ms,
                (SELECT ceil(extract(epoch FROM min(expires_at) - commerce.clock()) * 1000)::bigint
                 FROM commerce.stock_reservations WHERE status = 'held' AND cart_id IS NOT NULL) AS holds_ms",
    );
    let left: TimeLeftRow = Prepared(look).get_result(conn).await?;
    let duration = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    Ok(TimeLeft { orders: left.orders_ms.map(duration), holds: left.holds_ms.map(duration) })
}
