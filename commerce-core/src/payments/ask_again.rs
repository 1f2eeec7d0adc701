//! When the provider of an expired order is asked again. The time is in the database, so that all processes
//! together ask no more often than one would.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::OrderId;

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    order_id: OrderId,
}

/// Claims up to `orders_max` expired orders whose open attempts are to be expired at their provider. They are
/// asked for again after a delay: a second at first, then twice as long each time, up to five minutes.
///
/// The delay is as long as the order is overdue, which doubles it. It never goes beyond the end of `grace`,
/// when the order is cancelled in any case.
pub(crate) async fn claim_to_ask(
    conn: &mut AsyncPgConnection,
    grace: Duration,
    orders_max: i64,
) -> QueryResult<Vec<OrderId>> {
    // The last condition is checked again on a row that another process has just written.
    let claimed: Vec<Claimed> = diesel::sql_query(
        "WITH due AS MATERIALIZED (
             SELECT o.id, extract(epoch FROM commerce.clock() - o.expires_at)::float8 AS late
             FROM commerce.orders o
             CROSS JOIN LATERAL (
                 SELECT min(coalesce(p.ask_again_at, '-infinity')) AS ask_at FROM commerce.payments p
                 WHERE p.order_id = o.id AND p.status IN ('pending', 'requires_action', 'processing', 'authorized')
             ) attempts
             WHERE o.status = 'pending_payment' AND o.expires_at <= commerce.clock()
               AND attempts.ask_at <= commerce.clock()
             ORDER BY attempts.ask_at, o.expires_at LIMIT $1 FOR UPDATE OF o SKIP LOCKED
         )
         UPDATE commerce.payments p
         SET ask_again_at = commerce.clock() + make_interval(secs => CASE
             WHEN due.late < $2 THEN least(greatest(due.late, 1), 300, $2 - due.late)
             ELSE least(greatest(due.late, 1), 300) END)
         FROM due
         WHERE p.order_id = due.id AND p.status IN ('pending', 'requires_action', 'processing', 'authorized')
           AND (p.ask_again_at IS NULL OR p.ask_again_at <= commerce.clock())
         RETURNING p.order_id",
    )
    .bind::<BigInt, _>(orders_max)
    .bind::<Double, _>(grace.as_secs_f64())
    .load(conn)
    .await?;
    let mut orders: Vec<OrderId> = claimed.into_iter().map(|claimed| claimed.order_id).collect();
    orders.sort_unstable();
    orders.dedup();
    Ok(orders)
}
