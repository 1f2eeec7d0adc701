//! Rate limits, counted in the database for all processes together.
//!
//! The algorithm is GCRA (ITU-T I.371). For each key it stores the time at which the whole quota is free
//! again. Each request moves this time forward by its share of the window, and is refused if the time would
//! then be further away than the window is long. So the whole quota can be used at once, and afterwards one
//! share at a time. Each call is one statement. Make it outside of the transaction that it guards.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db;

/// A number of requests in a time window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The name. It is part of the key, and identifies the policy in headers.
    pub name: &'static str,
    /// The number of requests in a window.
    pub quota: u32,
    /// The length of a window.
    pub window: Duration,
}

impl Policy {
    /// `quota` requests in `minutes`.
    pub const fn new(name: &'static str, quota: u32, minutes: u64) -> Self {
        Self { name, quota, window: Duration::from_secs(60 * minutes) }
    }

    /// The same for so many clients together.
    #[must_use]
    pub const fn times(self, clients: u32) -> Self {
        Self { quota: self.quota.saturating_mul(clients), ..self }
    }

    /// The time after which one request becomes free again.
    fn share(&self) -> f64 {
        self.window.as_secs_f64() / f64::from(self.quota.max(1))
    }
}

/// The result for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// The number of requests that could follow at once.
    pub remaining: u32,
    /// The time until the whole quota is free again.
    pub free_after: Duration,
    /// The time until the next request is allowed. Zero if it is allowed now.
    pub retry_after: Duration,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Bool)]
    allowed: bool,
    #[diesel(sql_type = Double)]
    ahead: f64,
}

/// Counts a request of `who`, if there is room for it. Concurrent requests are counted one after the other.
pub async fn take(conn: &AsyncPgConnection, policy: &Policy, who: &str) -> QueryResult<Taken> {
    take_many(conn, policy, who, 1).await
}

/// As [`take`], for something that counts as so many requests: all of them, or none. A shared borrow of the
/// connection is enough, so that a request can be counted under several policies in one round trip.
pub async fn take_many(
    conn: &AsyncPgConnection,
    policy: &Policy,
    who: &str,
    requests: u32,
) -> QueryResult<Taken> {
    let wanted = policy.share() * f64::from(requests);
    let counted: Counted = diesel::sql_query(
        "INSERT INTO commerce.rate_limits AS used (key, free_at, allowed)
         VALUES ($1, commerce.clock() + make_interval(secs => CASE WHEN $2 <= $3 THEN $2 ELSE 0 END), $2 <= $3)
         ON CONFLICT (key) DO UPDATE SET
             allowed = greatest(used.free_at, commerce.clock()) + make_interval(secs => $2)
                 <= commerce.clock() + make_interval(secs => $3),
             free_at = CASE WHEN greatest(used.free_at, commerce.clock()) + make_interval(secs => $2)
                     <= commerce.clock() + make_interval(secs => $3)
                 THEN greatest(used.free_at, commerce.clock()) + make_interval(secs => $2)
                 ELSE used.free_at END
         RETURNING allowed, extract(epoch FROM free_at - commerce.clock())::float8 AS ahead",
    )
    .bind::<Text, _>(format!("{}:{who}", policy.name))
    .bind::<Double, _>(wanted)
    .bind::<Double, _>(policy.window.as_secs_f64())
    .get_result(&mut { conn })
    .await?;
    let free = policy.window.as_secs_f64() - counted.ahead;
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    Ok(Taken {
        allowed: counted.allowed,
        // Each share is slightly less than whole by the time it is examined.
        remaining: (0..=policy.quota)
            .rev()
            .find(|n| f64::from(*n) * policy.share() <= free + 0.001)
            .unwrap_or(0),
        free_after: seconds(counted.ahead),
        retry_after: seconds(wanted - free),
    })
}

/// Forgets all requests of `who`.
pub async fn forget(conn: &mut AsyncPgConnection, policy: &Policy, who: &str) -> QueryResult<()> {
    let key = format!("{}:{who}", policy.name);
    diesel::sql_query("DELETE FROM commerce.rate_limits WHERE key = $1")
        .bind::<Text, _>(key)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives back a request that turned out not to count, such as a login with the right password.
pub async fn give_back(conn: &mut AsyncPgConnection, policy: &Policy, who: &str) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE commerce.rate_limits SET free_at = free_at - make_interval(secs => $2) WHERE key = $1",
    )
    .bind::<Text, _>(format!("{}:{who}", policy.name))
    .bind::<Double, _>(policy.share())
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes keys whose whole quota is free, `batch` at a time. Returns their number.
pub async fn prune(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.rate_limits WHERE key = ANY (ARRAY(
         SELECT key FROM commerce.rate_limits WHERE free_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, Duration::ZERO, delete).await
}
