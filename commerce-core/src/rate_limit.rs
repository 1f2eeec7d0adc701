//! How often something may be done, counted in the database for all processes together.
//!
//! The algorithm is GCRA (ITU-T I.371): a time a key, by which all of the quota is free again. Each request moves it on by its share
//! of the window, and is refused if that would lead further than the window reaches. So the whole quota can be used at once, and then
//! a share of it at a time. Each call is one statement of its own: call it outside of the transaction that it guards.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::clock;
use crate::schema::rate_limits;

/// So many requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Part of the key; tells policies apart in headers.
    pub name: &'static str,
    /// How many are allowed within a window.
    pub quota: u32,
    /// How long a window is.
    pub window: Duration,
}

impl Policy {
    /// `quota` requests in `minutes`.
    pub const fn new(name: &'static str, quota: u32, minutes: u64) -> Self {
        Self { name, quota, window: Duration::from_secs(60 * minutes) }
    }

    /// The time in which one request's worth becomes free.
    fn share(&self) -> f64 {
        self.window.as_secs_f64() / f64::from(self.quota.max(1))
    }
}

/// What a request was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether it may go on.
    pub allowed: bool,
    /// Requests that could follow at once.
    pub remaining: u32,
    /// Until the whole quota is free again.
    pub free_after: Duration,
    /// Until the next request would be let through; nothing if that is now.
    pub retry_after: Duration,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Bool)]
    allowed: bool,
    #[diesel(sql_type = Double)]
    ahead: f64,
}

/// Counts a request of `who`, if there is room for it. Requests at once are counted one after the other.
pub async fn take(conn: &mut AsyncPgConnection, policy: &Policy, who: &str) -> QueryResult<Taken> {
    let counted: Counted = diesel::sql_query(
        "INSERT INTO commerce.rate_limits AS used (key, free_at, allowed)
         VALUES ($1, commerce.clock() + make_interval(secs => $2), true)
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
    .bind::<Double, _>(policy.share())
    .bind::<Double, _>(policy.window.as_secs_f64())
    .get_result(conn)
    .await?;
    let free = policy.window.as_secs_f64() - counted.ahead;
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    Ok(Taken {
        allowed: counted.allowed,
        // A hair is missing from each share by the time it is looked at.
        remaining: (0..=policy.quota)
            .rev()
            .find(|n| f64::from(*n) * policy.share() <= free + 0.001)
            .unwrap_or(0),
        free_after: seconds(counted.ahead),
        retry_after: seconds(policy.share() - free),
    })
}

/// Gives back what a request took that turns out not to count, such as a login with the right password.
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

/// Forgets keys whose whole quota is free; returns how many.
pub async fn prune(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    diesel::delete(rate_limits::table.filter(rate_limits::free_at.lt(clock()))).execute(conn).await
}
