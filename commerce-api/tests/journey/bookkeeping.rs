//! Comparing what the API acknowledged with what the database holds.

use std::collections::{HashMap, HashSet};

use commerce_core::testing::ReceivedMail;
use commerce_core::{audit, db};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl as _;

use crate::load::{Habit, Purchase};

/// An order with what belongs to it, counted.
#[derive(Debug, PartialEq, Eq, QueryableByName)]
struct OrderRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    total_minor: i64,
    #[diesel(sql_type = BigInt)]
    paid_minor: i64,
    #[diesel(sql_type = BigInt)]
    refunded_minor: i64,
    /// Attempts, whatever became of them.
    #[diesel(sql_type = BigInt)]
    payments: i64,
    #[diesel(sql_type = BigInt)]
    payments_succeeded: i64,
    #[diesel(sql_type = BigInt)]
    refunds: i64,
    /// The mails that were sent: that the order is there, unless it was paid; that it is paid; that it is cancelled.
    #[diesel(sql_type = Text)]
    mails_sent: String,
}

const ORDERS: &str = "
    SELECT o.id::text AS id, o.email, o.status, o.total_minor, o.paid_minor, o.refunded_minor,
           (SELECT count(*) FROM commerce.payments p WHERE p.order_id = o.id) AS payments,
           (SELECT count(*) FROM commerce.payments p WHERE p.order_id = o.id AND p.succeeded_at IS NOT NULL)
               AS payments_succeeded,
           (SELECT count(*) FROM commerce.refunds r WHERE r.order_id = o.id AND r.status = 'succeeded') AS refunds,
           coalesce((SELECT string_agg(e.template, ' ' ORDER BY e.template) FROM commerce.emails e
                     WHERE e.data ->> 'order_id' = o.id::text AND e.sent_at IS NOT NULL
                       AND (e.template NOT IN ('order_received', 'payment_failed') OR o.paid_minor = 0)), '')
               AS mails_sent
    FROM commerce.orders o";

/// What an order must have come to.
fn expected(purchase: &Purchase) -> OrderRow {
    let (paid, refunded) = match purchase.habit {
        Habit::NeverPays => (false, false),
        Habit::Pays | Habit::PaysAtTheSecondTry => (true, false),
        Habit::Cancels => (true, true),
    };
    let status = match purchase.habit {
        Habit::NeverPays => "pending_payment",
        Habit::Pays | Habit::PaysAtTheSecondTry => "paid",
        Habit::Cancels => "cancelled",
    };
    let mails_sent = match purchase.habit {
        Habit::NeverPays => "order_received",
        Habit::Pays | Habit::PaysAtTheSecondTry => "order_confirmed",
        Habit::Cancels => "order_cancelled order_confirmed",
    };
    OrderRow {
        id: purchase.order_id.clone(),
        email: purchase.email.clone(),
        status: status.to_owned(),
        total_minor: purchase.total_minor,
        paid_minor: if paid { purchase.total_minor } else { 0 },
        refunded_minor: if refunded { purchase.total_minor } else { 0 },
        payments: i64::from(paid) + i64::from(purchase.habit == Habit::PaysAtTheSecondTry),
        payments_succeeded: i64::from(paid),
        refunds: i64::from(refunded),
        mails_sent: mails_sent.to_owned(),
    }
}

/// Every acknowledged order is there with its right state, money and mails, and there is no other. No job is left, and no
/// invariant is broken. To be called when nobody buys any more and the worker has nothing left to do.
pub async fn check(database_url: &str, purchases: &[Purchase]) {
    let mut conn = db::connect(database_url).await.unwrap();
    let rows: Vec<OrderRow> = diesel::sql_query(ORDERS).load(&mut conn).await.unwrap();
    let mut found: HashMap<String, OrderRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
    for purchase in purchases {
        let row = found.remove(&purchase.order_id);
        let row = row.unwrap_or_else(|| panic!("an acknowledged order is gone: {purchase:?}"));
        assert_eq!(row, expected(purchase), "{purchase:?}");
    }
    assert!(found.is_empty(), "orders that nobody was told of: {found:#?}");
    assert_eq!(jobs_left(database_url).await, 0);
    let breaches = audit::verify(&mut conn).await.unwrap();
    assert!(breaches.is_empty(), "invariants are broken: {breaches:#?}");
}

/// How many jobs there are, dead ones included.
pub async fn jobs_left(database_url: &str) -> usize {
    count(database_url, "commerce.jobs").await
}

/// How many rows there are; `table` may go on with WHERE.
pub async fn count(database_url: &str, table: &str) -> usize {
    let mut conn = db::connect(database_url).await.unwrap();
    diesel::sql_query(format!("SELECT 1 FROM {table}")).execute(&mut conn).await.unwrap()
}

/// Every paid order's confirmation has arrived: once, or again only as the same message. Returns how many came again.
pub fn check_mails(mails: &[ReceivedMail], purchases: &[Purchase]) -> usize {
    let mut ids: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut received = 0;
    for mail in mails.iter().filter(|mail| mail.subject().ends_with("is confirmed")) {
        received += 1;
        let id = mail.header("message-id").expect("a Message-ID");
        ids.entry(mail.recipients[0].as_str()).or_default().insert(id);
    }
    let paid = purchases.iter().filter(|purchase| purchase.habit != Habit::NeverPays);
    let mut orders = 0;
    for purchase in paid {
        orders += 1;
        let ids = ids.remove(purchase.email.as_str()).unwrap_or_default();
        assert_eq!(ids.len(), 1, "confirmations to {}: {ids:?}", purchase.email);
    }
    assert!(ids.is_empty(), "confirmations of nothing: {ids:?}");
    received - orders
}
