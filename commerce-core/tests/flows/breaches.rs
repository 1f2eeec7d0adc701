//! Every rule of `audit::verify` finds its breach. Rows are broken behind the shop's back, one at a time, and put right
//! again. A rule that no row breaks here fails the test.

use std::collections::{BTreeMap, BTreeSet};

use commerce_core::accounts::Role;
use commerce_core::audit::{Breach, verify};
use commerce_core::flows::{
    CancelLines, Canceller, CreateShipment, RefundAmount, RefundOf, StaffRefund, cancel_lines,
    confirm_withdrawal, refund_by_staff,
};
use commerce_core::ids::OrderId;
use commerce_core::money::{Currency, Money};
use commerce_core::page::Limit;
use commerce_core::returns::{ReturnFilter, ReturnStatus, list_returns};
use commerce_core::settings::ShopSettings;
use commerce_core::shipments::ShipmentStatus;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};

use crate::parcels::{author, create, paid_order, parcel, step, to};
use crate::payments::order;
use crate::returns::{delivered_order, moved, received, towards};
use crate::staff_refunds::run_refunds;
use crate::withdrawals::{declaration, declared, process_all};

/// The rules, as they stand in the query.
const RULES: &str = include_str!("../../src/audit/verify.sql");

/// What is broken, by which invariant it is found, in which table, and what is said. `$paid`, `$sent`, `$back`, `$kept`
/// and `$open` are orders, see [`shop`].
const BREACHES: &[(&str, &str, &str, &str)] = &[
    ("UPDATE commerce.stock_levels SET on_hand = on_hand + 1", "I1", "stock_levels", "ledger"),
    ("UPDATE commerce.stock_levels SET reserved = reserved + 1", "I1", "stock_levels", "reserved"),
    (
        "UPDATE commerce.stock_reservations SET quantity = quantity + 1 WHERE order_id = $paid",
        "I1",
        "stock_levels",
        "live reservations",
    ),
    ("UPDATE commerce.stock_levels SET reserved = on_hand + 1", "I1", "stock_levels", "on_hand"),
    ("UPDATE commerce.stock_levels SET on_hand = -1, reserved = -1", "I1", "stock_levels", "on_hand -1"),
    (
        "UPDATE commerce.stock_reservations SET status = 'released' WHERE order_id = $paid",
        "I1",
        "orders $paid",
        "unshipped 3, reserved 0",
    ),
    (
        "UPDATE commerce.stock_reservations SET status = 'held' WHERE order_id = $paid",
        "I1",
        "stock_reservations",
        "is held while its order is paid",
    ),
    (
        "UPDATE commerce.stock_reservations SET status = 'committed' WHERE order_id = $open",
        "I1",
        "stock_reservations",
        "is committed while its order is pending_payment",
    ),
    (
        "DELETE FROM commerce.stock_movements WHERE order_id = $sent AND kind = 'consume'",
        "I1",
        "orders $sent",
        "sent 2, ledger 0",
    ),
    (
        "UPDATE commerce.stock_movements SET on_hand_delta = 9 WHERE order_id = $back AND kind = 'return'",
        "I1",
        "orders $back",
        "returned 9",
    ),
    (
        "UPDATE commerce.order_lines SET shipped_quantity = 1 WHERE order_id = $sent",
        "I8",
        "order_lines",
        "shipped 1, in parcels that left 2",
    ),
    (
        "UPDATE commerce.order_lines SET cancelled_quantity = 1 WHERE order_id = $sent",
        "I8",
        "order_lines",
        "cancelled 1 of 2",
    ),
    (
        "UPDATE commerce.shipments SET order_id = $paid WHERE order_id = $sent",
        "I8",
        "shipments",
        "has units of another order",
    ),
    (
        "UPDATE commerce.shipments s SET replaces = f.id FROM commerce.shipments f
         WHERE f.order_id = $sent AND f.status = 'delivered' AND s.order_id = $sent AND s.status = 'shipped'",
        "I8",
        "shipments",
        "is delivered, has 1 of line",
    ),
    (
        "UPDATE commerce.orders SET status = 'cancelled' WHERE id = $sent",
        "I8",
        "shipments",
        "while its order is cancelled",
    ),
    (
        "UPDATE commerce.orders SET fulfillment_status = 'delivered' WHERE id = $sent",
        "I8",
        "orders $sent",
        "is shipped, delivered with 2 shipped, 1 delivered",
    ),
    (
        "UPDATE commerce.orders SET status = 'processing' WHERE id = $sent",
        "I8",
        "orders $sent",
        "is processing, fulfilled",
    ),
    (
        "UPDATE commerce.order_lines SET returned_quantity = 1 WHERE order_id = $back",
        "I8",
        "order_lines",
        "returned 1, with returns 2",
    ),
    (
        "UPDATE commerce.return_lines SET received_quantity = NULL, restocked = NULL",
        "I8",
        "returns",
        "received unset",
    ),
    ("DELETE FROM commerce.return_lines", "I8", "returns", "line none"),
    ("UPDATE commerce.withdrawals SET order_id = $paid", "I8", "withdrawals", "its return about $back"),
    ("UPDATE commerce.withdrawals SET processed_at = NULL", "I5", "withdrawals", "no job sees to it"),
    (
        "UPDATE commerce.returns SET refund_minor = refund_minor + 1",
        "I2",
        "returns",
        "is refunded with 1001, refunds 1000 for 2 of 2 units",
    ),
    ("UPDATE commerce.refund_lines SET quantity = 3", "I2", "returns", "for 3 of 2 units"),
    (
        "UPDATE commerce.returns SET refund_id = NULL, refund_minor = 0",
        "I2",
        "refunds",
        "is for returned goods, and no return has it",
    ),
    (
        "UPDATE commerce.orders SET paid_minor = paid_minor + 1 WHERE id = $paid",
        "I2",
        "orders $paid",
        "paid 1501, payments 1500",
    ),
    (
        "UPDATE commerce.orders SET refunded_minor = 1 WHERE id = $paid",
        "I2",
        "orders $paid",
        "refunded 1, payments 0",
    ),
    (
        "UPDATE commerce.payments SET refunded_minor = 1 WHERE order_id = $paid",
        "I2",
        "payments",
        "refunded 1, refunds 0",
    ),
    (
        "UPDATE commerce.refunds SET amount_minor = 1501 WHERE order_id = $paid",
        "I2",
        "payments",
        "promised 1501 of 1500",
    ),
    (
        "UPDATE commerce.orders SET authorized_minor = 1 WHERE id = $paid",
        "I2",
        "orders $paid",
        "authorized 1, payments 0",
    ),
    (
        "UPDATE commerce.orders SET paid_at = NULL WHERE id = $paid",
        "I2",
        "orders $paid",
        "paid_at is unset with 1500 of 1500",
    ),
    (
        "UPDATE commerce.orders SET paid_at = commerce.clock() WHERE id = $open",
        "I2",
        "orders $open",
        "with 0 of 500",
    ),
    (
        "UPDATE commerce.orders SET paid_at = NULL WHERE id = $paid",
        "I2",
        "orders $paid",
        "is paid but not paid",
    ),
    (
        "UPDATE commerce.orders SET kept_minor = 0 WHERE id = $kept",
        "I2",
        "orders $kept",
        "is cancelled and keeps 500 instead of 0",
    ),
    ("UPDATE commerce.refund_lines SET quantity = 100", "I2", "order_lines", "refunded 100 of 2 units"),
    ("UPDATE commerce.refund_lines SET amount_minor = 1001", "I2", "order_lines", "for 1001"),
    (
        "UPDATE commerce.refund_lines SET restocked = true, quantity = 3",
        "I2",
        "order_lines",
        "took back 3 of 2",
    ),
    (
        "DELETE FROM commerce.jobs WHERE kind = 'refund_payment'",
        "I2",
        "refunds",
        "is pending and no job sees to it",
    ),
    (
        "UPDATE commerce.carts SET status = 'open' WHERE id = (SELECT cart_id FROM commerce.orders WHERE id = $paid)",
        "I4",
        "carts",
        "is open and has an order",
    ),
    (
        "UPDATE commerce.orders SET cart_id = NULL WHERE id = $paid",
        "I4",
        "carts",
        "is ordered and has no order",
    ),
    (
        "UPDATE commerce.payments SET status = 'processing' WHERE order_id = $paid",
        "I4",
        "payments",
        "is processing without succeeded_at in step",
    ),
    (
        "UPDATE commerce.orders SET expires_at = commerce.clock() - interval '11 minutes' WHERE id = $open",
        "I5",
        "orders $open",
        "waits for payment since",
    ),
    (
        "UPDATE commerce.stock_reservations SET expires_at = commerce.clock() - interval '3 hours'
         WHERE order_id = $open",
        "I5",
        "stock_reservations",
        "is held since it lapsed",
    ),
    (
        "UPDATE commerce.jobs SET state = 'leased', run_at = commerce.clock() - interval '3 hours'",
        "I5",
        "jobs",
        "is leased since",
    ),
    (
        "INSERT INTO commerce.inbound_webhooks (id, provider, event_id, event, status)
         VALUES (gen_random_uuid(), 'mock', 'lost', '{}', 'received')",
        "I5",
        "inbound_webhooks",
        "is not applied, and no job sees to it",
    ),
    (
        "DELETE FROM commerce.jobs WHERE kind = 'send_email';
         UPDATE commerce.emails SET created_at = commerce.clock() - interval '11 minutes'",
        "I5",
        "emails",
        "is not sent, and has no job",
    ),
    (
        "UPDATE commerce.order_lines SET line_total_minor = 1 WHERE order_id = $paid",
        "I6",
        "orders $paid",
        "subtotal 1500, lines 1",
    ),
    (
        "UPDATE commerce.orders SET discount_minor = 1 WHERE id = $paid",
        "I6",
        "orders $paid",
        "total 1500, its parts 1499",
    ),
    (
        "UPDATE commerce.orders SET tax_included_minor = 1, total_minor = total_minor - 1 WHERE id = $paid",
        "I6",
        "orders $paid",
        "tax 0, of it included 1",
    ),
    (
        "UPDATE commerce.orders SET cancelled_minor = 1 WHERE id = $paid",
        "I6",
        "orders $paid",
        "cancelled 1, lines 0",
    ),
    (
        "INSERT INTO commerce.product_images (id, product_id, url, alt, position, storage_key)
         SELECT gen_random_uuid(), id, '/lost.png', '', 0, 'lost.png' FROM commerce.products LIMIT 1",
        "I7",
        "product_images",
        "shows the file lost.png, which is not its own",
    ),
];

/// Orders of cups for 5.00: `paid` with three of them and a refund under way, `sent` in two parcels of which one has
/// arrived, `back` with two that came back after a withdrawal, `kept` that is cancelled while its money is kept, and
/// `open`.
async fn shop(db: &TestDatabase) -> BTreeMap<&'static str, OrderId> {
    let shop = ShopSettings::default();
    let cup = db.variant(500, 50).await;
    let (back, _, _) = delivered_order(db, &[(cup, 2)]).await;
    let number = order(db, back).await.number.to_string();
    let id = declared(db, declaration(&number)).await;
    confirm_withdrawal(&mut *db.conn().await, id, None).await.unwrap();
    process_all(db, &shop).await;
    let filter = ReturnFilter { order_id: Some(back), ..Default::default() };
    let opened = list_returns(&mut *db.conn().await, &filter, Limit::default(), None).await.unwrap();
    received(db, opened.data[0].id).await;
    moved(db, towards(opened.data[0].id, ReturnStatus::Refunded)).await.unwrap();
    run_refunds(db, &shop).await;

    let (sent, lines) = paid_order(db, &[(cup, 2)]).await;
    for _ in 0..2 {
        create(db, CreateShipment { shipped: true, ..parcel(sent, &[(&lines[0], 1)]) }).await.unwrap();
    }
    let parcels = commerce_core::shipments::list_for_order(&mut *db.conn().await, sent).await.unwrap();
    step(db, to(&parcels[0], ShipmentStatus::Delivered)).await.unwrap();

    let (kept, _) = paid_order(db, &[(cup, 1)]).await;
    let by = Canceller::Staff(Role::Admin, author());
    let keep = CancelLines { order_id: kept, lines: None, refund: false, restock: true, by };
    cancel_lines(&mut *db.conn().await, keep).await.unwrap();

    let (_, placed) = db.order(&shop, &[(cup, 1)]).await;
    let (paid, _) = paid_order(db, &[(cup, 3)]).await;
    let amount = RefundAmount::Amount(Money::new(100, Currency::USD));
    let refund =
        StaffRefund { of: RefundOf::Order(paid), amount, restock: false, note: None, author: author() };
    refund_by_staff(&mut *db.conn().await, refund).await.unwrap();
    BTreeMap::from([
        ("paid", paid),
        ("sent", sent),
        ("back", back),
        ("kept", kept),
        ("open", placed.order.id),
    ])
}

/// What each rule finds, by its place in the query.
async fn found(conn: &mut AsyncPgConnection, rules: &[&str]) -> Vec<(usize, Breach)> {
    let mut found = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let alone = format!("SELECT * FROM (\n{rule}\n) AS rule (invariant, subject, detail)");
        let breaches: Vec<Breach> = diesel::sql_query(alone).load(conn).await.unwrap();
        found.extend(breaches.into_iter().map(|breach| (place, breach)));
    }
    found
}

#[tokio::test]
async fn every_breach_of_every_rule_is_found() {
    let db = TestDatabase::new().await;
    let orders = shop(&db).await;
    let conn = &mut *db.conn().await;
    assert_eq!(verify(conn).await.unwrap(), []);
    // Without the checks of the tables, as after a restored backup, or a mistake in a migration.
    conn.batch_execute(
        "DO $$ DECLARE c record; BEGIN
            FOR c IN SELECT conrelid::regclass AS relation, conname FROM pg_constraint
                     WHERE contype = 'c' AND connamespace = 'commerce'::regnamespace AND conrelid <> 0 LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.relation, c.conname);
            END LOOP;
         END $$",
    )
    .await
    .unwrap();
    let rules: Vec<&str> = RULES.trim_end().trim_end_matches(';').split("\nUNION ALL\n").collect();
    let mut broken = BTreeSet::new();
    for (sql, invariant, subject, detail) in BREACHES {
        let named = |text: &str, quote: &str| {
            orders.iter().fold(text.to_owned(), |text, (name, id)| {
                text.replace(&format!("${name}"), &format!("{quote}{id}{quote}"))
            })
        };
        let (sql, subject, detail) = (named(sql, "'"), named(subject, ""), named(detail, ""));
        // Neither triggers nor foreign keys stop it.
        let plant = format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}");
        conn.batch_execute(&plant).await.unwrap();
        let found = found(conn, &rules).await;
        let is_meant = |breach: &Breach| {
            breach.invariant == *invariant
                && breach.subject.starts_with(&subject)
                && breach.detail.contains(&detail)
        };
        let meant: Vec<usize> =
            found.iter().filter(|(_, breach)| is_meant(breach)).map(|(rule, _)| *rule).collect();
        assert!(!meant.is_empty(), "{invariant} {subject} {detail:?} is not in {found:#?} after {sql}");
        let whole = verify(conn).await.unwrap();
        assert!(whole.iter().any(is_meant), "{whole:#?}");
        broken.extend(meant);
        conn.batch_execute("ROLLBACK").await.unwrap();
    }
    let unbroken: Vec<&&str> =
        rules.iter().enumerate().filter(|(rule, _)| !broken.contains(rule)).map(|(_, rule)| rule).collect();
    assert!(unbroken.is_empty(), "no row breaks these rules here:\n{unbroken:#?}");
    assert_eq!(verify(conn).await.unwrap(), []);
    db.discard().await;
}
