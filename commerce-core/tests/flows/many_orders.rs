//! Fifty thousand orders are filtered, searched and paged in every sort order, and never read from end to end.

use std::time::Instant;

use chrono::{DateTime, Duration, Utc};
use commerce_core::ids::UserId;
use commerce_core::orders::{
    CancelReason, FulfillmentStatus, OrderFilter, OrderSort, OrderStatus, PaymentStatus, explain_list, list,
};
use commerce_core::page::Limit;
use commerce_core::schema::orders;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};

/// Orders of a shop of some years: most have arrived, an eighth was cancelled, and few are on their way. They are copies of
/// one order that was placed, with other owners, words, statuses, totals and dates.
const FILL: &str = "
    CREATE TEMP TABLE copy AS
    SELECT n, gen_random_uuid() AS id, commerce.clock() - n * interval '20 minutes' AS at, 500 + (n * 7919) % 90000 AS total,
        CASE WHEN n <= 500 THEN 'pending_payment' WHEN n <= 1500 THEN 'paid' WHEN n <= 2500 THEN 'processing'
             WHEN n % 8 = 0 THEN 'cancelled' WHEN n <= 4000 THEN 'shipped' ELSE 'delivered' END AS status
    FROM generate_series(1, 50000) AS n;
    INSERT INTO commerce.users (id, email, display_name, password_hash)
    SELECT md5('u' || n)::uuid, 'u' || n || '@example.com', 'Somebody', 'none' FROM generate_series(1, 2000) AS n;
    INSERT INTO commerce.orders (id, source, user_id, email, status, payment_status, fulfillment_status, currency,
        subtotal_minor, total_minor, paid_minor, refunded_minor, shipping_address, cancel_reason, placed_at, expires_at, paid_at,
        cancelled_at, stock_released_at)
    SELECT c.id, 'staff', CASE WHEN n % 3 = 0 THEN md5('u' || (1 + n % 2000))::uuid END,
        'shopper' || n || '@' || CASE WHEN n % 2 = 0 THEN 'example.com' ELSE 'example.net' END, c.status,
        CASE WHEN c.status = 'pending_payment' OR c.status = 'cancelled' THEN 'unpaid'
             WHEN n % 1000 = 1 THEN 'partially_refunded' WHEN n % 9001 = 3 THEN 'overpaid' ELSE 'paid' END,
        CASE WHEN c.status = 'shipped' THEN 'fulfilled' WHEN n % 5000 = 4999 THEN 'returned'
             WHEN c.status = 'delivered' THEN 'delivered' WHEN c.status = 'processing' AND n % 40 = 1 THEN 'partial'
             ELSE 'unfulfilled' END,
        'USD', total, total, CASE WHEN c.status IN ('pending_payment', 'cancelled') THEN 0 ELSE total END, 0,
        jsonb_set(o.shipping_address, '{name}', to_jsonb('Ada' || n % 700 || ' Lovelace' || n % 1300)),
        CASE WHEN c.status = 'cancelled' THEN CASE WHEN n % 4000 = 0 THEN 'admin' WHEN n % 400 = 0 THEN 'customer'
            ELSE 'expired' END END,
        c.at, c.at + interval '15 minutes', CASE WHEN c.status NOT IN ('pending_payment', 'cancelled') THEN c.at END,
        CASE WHEN c.status = 'cancelled' THEN c.at END, CASE WHEN c.status = 'cancelled' THEN c.at END
    FROM copy c, (SELECT shipping_address FROM commerce.orders LIMIT 1) o;
    INSERT INTO commerce.order_search (order_id, document)
    SELECT o.id, array_to_tsvector(ARRAY[o.number::text, 'shopper' || n, 'example', CASE WHEN n % 2 = 0 THEN 'com' ELSE 'net' END,
        'ada' || n % 700, 'lovelace' || n % 1300, 'sku', (n % 4000)::text, 'sku' || n % 4000, 'tr' || 7000000 + n])
    FROM commerce.orders o JOIN copy USING (id);
    ANALYZE commerce.orders; ANALYZE commerce.order_search;";

async fn filled(db: &TestDatabase) {
    let variant = db.variant(1000, 5).await;
    db.staff_order(&ShopSettings::default(), None, &[(variant, 1)]).await;
    db.conn().await.batch_execute(FILL).await.unwrap();
}

/// Every filter of the list alone, with values that most orders have and that few have, and some together.
fn filters(now: DateTime<Utc>, user: UserId) -> Vec<(String, OrderFilter)> {
    let mut filters = vec![("nothing".to_owned(), OrderFilter::default())];
    let mut add = |name: &str, filter| filters.push((name.to_owned(), filter));
    for status in OrderStatus::ALL {
        add(status.as_str(), OrderFilter { status: Some(*status), ..Default::default() });
    }
    for status in PaymentStatus::ALL {
        add(status.as_str(), OrderFilter { payment_status: Some(*status), ..Default::default() });
    }
    for status in FulfillmentStatus::ALL {
        add(status.as_str(), OrderFilter { fulfillment_status: Some(*status), ..Default::default() });
    }
    for reason in CancelReason::ALL {
        add(reason.as_str(), OrderFilter { cancel_reason: Some(*reason), ..Default::default() });
    }
    for released in [true, false] {
        let filter = OrderFilter { stock_released: Some(released), ..Default::default() };
        add(if released { "stock released" } else { "stock not released" }, filter);
    }
    add("a user", OrderFilter { user_id: Some(user), ..Default::default() });
    add("a user with no order", OrderFilter { user_id: Some(UserId::new()), ..Default::default() });
    for days in [1, 30, 400] {
        let from = Some(now - Duration::days(days));
        add(&format!("{days} days"), OrderFilter { placed_from: from, ..Default::default() });
    }
    let old = Some(now - Duration::days(600));
    add("long ago", OrderFilter { placed_before: old, ..Default::default() });
    for (from, to) in [(500, 600), (500, 9000), (80_000, 1_000_000), (1_000_000, 2_000_000)] {
        let filter =
            OrderFilter { total_min_minor: Some(from), total_max_minor: Some(to), ..Default::default() };
        add(&format!("total {from} to {to}"), filter);
    }
    for text in [
        "1234",
        "#1234",
        "shopper777@example.com",
        "example.net",
        "Ada7 Lovelace7",
        "lovelace",
        "SKU-17",
        "TR7012345",
        "nobody of this name",
        "---",
        "e",
    ] {
        add(&format!("q={text}"), OrderFilter { text: Some(text.to_owned()), ..Default::default() });
    }
    let rare = OrderFilter {
        status: Some(OrderStatus::Processing),
        fulfillment_status: Some(FulfillmentStatus::Partial),
        ..Default::default()
    };
    add("processing and partial", rare);
    let worked = OrderFilter {
        status: Some(OrderStatus::Paid),
        placed_from: Some(now - Duration::days(30)),
        text: Some("lovelace".to_owned()),
        ..Default::default()
    };
    add("paid, a month, q=lovelace", worked);
    filters
}

async fn plan(
    conn: &mut AsyncPgConnection,
    filter: &OrderFilter,
    sort: OrderSort,
    cursor: Option<&str>,
) -> String {
    explain_list(conn, filter, sort, Limit::default(), cursor).await.unwrap().join("\n")
}

/// Milliseconds, as Postgres measured them.
fn time(plan: &str) -> f64 {
    let line = plan.lines().find_map(|line| line.strip_prefix("Execution Time: ")).unwrap();
    line.trim_end_matches(" ms").parse().unwrap()
}

#[tokio::test]
async fn no_filter_and_no_sort_order_reads_fifty_thousand_orders_from_end_to_end() {
    let db = TestDatabase::new().await;
    filled(&db).await;
    let mut conn = db.conn().await;
    every_plan_is_by_an_index(&mut conn).await;
    pages_of_every_sort_order_have_every_order_once(&mut conn).await;
    drop(conn);
    db.discard().await;
}

async fn every_plan_is_by_an_index(conn: &mut AsyncPgConnection) {
    let (now, user) = (Utc::now(), a_user(conn).await);
    let mut slowest = (0.0, String::new());
    let mut faults = Vec::new();
    for (name, filter) in filters(now, user) {
        let mut told = format!("{name:32}");
        for sort in OrderSort::ALL {
            let first = list(conn, &filter, *sort, Limit::default(), None).await.unwrap();
            // The first page, and one behind it.
            for cursor in [None, first.next_cursor.as_deref()]
                .into_iter()
                .take(1 + usize::from(first.next_cursor.is_some()))
            {
                let plan = plan(conn, &filter, *sort, cursor).await;
                let (took, what) = (time(&plan), format!("{name}, {sort}, {cursor:?}"));
                told += &format!(" {took:7.2}");
                if plan.contains("Seq Scan on orders") {
                    faults.push(format!("{what}\n{plan}"));
                }
                if took > slowest.0 {
                    slowest = (took, format!("{what}\n{plan}"));
                }
            }
        }
        println!("{told} ms");
    }
    println!("slowest: {} ms, {}", slowest.0, slowest.1);
    assert!(faults.is_empty(), "{} sequential scans:\n{}", faults.len(), faults.join("\n\n"));
    // Generous, because the machine may be busy.
    assert!(slowest.0 < 500.0, "{}", slowest.1);
}

/// A user with orders.
async fn a_user(conn: &mut AsyncPgConnection) -> UserId {
    let owned = orders::table.filter(orders::user_id.is_not_null()).select(orders::user_id.assume_not_null());
    owned.first(conn).await.unwrap()
}

/// Page after page in every sort order gives every order once.
async fn pages_of_every_sort_order_have_every_order_once(conn: &mut AsyncPgConnection) {
    let filter = OrderFilter { payment_status: Some(PaymentStatus::Unpaid), ..Default::default() };
    let begun = Instant::now();
    for sort in OrderSort::ALL {
        let (mut cursor, mut seen) = (None::<String>, std::collections::BTreeSet::new());
        loop {
            let limit = Limit::new(Limit::MAX).unwrap();
            let page = list(conn, &filter, *sort, limit, cursor.as_deref()).await.unwrap();
            let keys: Vec<i64> = page
                .data
                .iter()
                .map(|order| match sort {
                    OrderSort::OldestFirst => order.placed_at.timestamp_micros(),
                    OrderSort::NewestFirst => -order.placed_at.timestamp_micros(),
                    OrderSort::SmallestFirst => order.total_minor,
                    OrderSort::LargestFirst => -order.total_minor,
                })
                .collect();
            assert!(keys.is_sorted(), "{sort}");
            for order in page.data {
                assert!(seen.insert(order.id), "{sort}: {} came twice", order.id);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        // Of those below 2501, the first 500 wait. Behind them every eighth was cancelled; and one more was placed.
        assert_eq!(seen.len(), 500 + (50_000 / 8 - 2500 / 8) + 1, "{sort}");
    }
    println!("all pages of every sort order: {:?}", begun.elapsed());
}
