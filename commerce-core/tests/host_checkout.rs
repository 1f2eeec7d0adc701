//! The example `host_checkout` does what it tells.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

use commerce_core::inventory::Shortage;
use commerce_core::schema::{emails, jobs, orders, stock_levels};
use commerce_core::testing::TestDatabase;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

#[path = "../examples/host_checkout.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod host_checkout;

use host_checkout::{Visit, greeting_cards, three_visits};

#[tokio::test]
async fn an_order_and_the_hosts_own_row_are_written_together_or_not_at_all() {
    let db = TestDatabase::new().await;
    let mut conn = db.conn().await;
    let visits = three_visits(&mut conn).await.unwrap();
    let [Visit::GreetingTooLong, Visit::Ordered { id, .. }, Visit::Waiting(shortages)] = visits else {
        panic!("{visits:?}");
    };
    assert!(matches!(shortages.as_slice(), [Shortage { requested: 2, available: 1, .. }]), "{shortages:?}");

    let cards: Vec<(Option<uuid::Uuid>, String)> = greeting_cards::table
        .order(greeting_cards::id)
        .select((greeting_cards::order_id, greeting_cards::greeting))
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(cards, [(Some(id.0), "Happy birthday, mum!".into()), (None, "Get well soon!".into())]);
    assert_eq!(left_behind(&mut conn).await, [1, 1, 1], "one order, its mail, and the job that sends it");
    let stock: (i64, i64) = stock_levels::table
        .select((stock_levels::on_hand, stock_levels::reserved))
        .first(&mut conn)
        .await
        .unwrap();
    assert_eq!(stock, (3, 2), "only the committed order reserves");
    drop(conn);
    db.finish().await;
}

/// Orders, mails and jobs in the database.
async fn left_behind(conn: &mut AsyncPgConnection) -> [i64; 3] {
    [
        orders::table.count().get_result(conn).await.unwrap(),
        emails::table.count().get_result(conn).await.unwrap(),
        jobs::table.count().get_result(conn).await.unwrap(),
    ]
}
