//! Whether everything has come to its end, and whether both sides have written down the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::tally::Vendor;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// What is not at its end yet, and its name.
const OPEN: [(&str, &str); 4] = [
    ("unpaid orders", "commerce.orders WHERE status = 'pending_payment'"),
    (
        "cancelled orders whose money is not back",
        "commerce.orders WHERE status = 'cancelled' AND paid_minor <> refunded_minor",
    ),
    ("refunds under way", "commerce.refunds WHERE status <> 'succeeded'"),
    ("webhooks", "commerce.inbound_webhooks WHERE status = 'received'"),
];

async fn count(conn: &mut AsyncPgConnection, rows: &str) -> Result<i64> {
    let count: Count =
        diesel::sql_query(format!("SELECT count(*) AS rows FROM {rows}")).get_result(conn).await?;
    Ok(count.rows)
}

/// Waits until nothing is open, and says every ten seconds what is.
pub async fn settle(conn: &mut AsyncPgConnection, longest: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut open = Vec::new();
        for (name, rows) in OPEN {
            let rows = count(conn, rows).await?;
            if rows > 0 {
                open.push(format!("{rows} {name}"));
            }
        }
        if open.is_empty() {
            println!("Everything was settled {} s after the last shopper.", begun.elapsed().as_secs());
            return Ok(());
        }
        println!("{:>6} s: {}", begun.elapsed().as_secs(), open.join(", "));
        ensure!(begun.elapsed() < longest, "not settled after {} s: {}", longest.as_secs(), open.join(", "));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// Orders by their end. There is no other, and no job has died.
pub async fn check_orders(conn: &mut AsyncPgConnection) -> Result<()> {
    let mut told = Vec::new();
    for (name, rows) in [
        ("orders", "commerce.orders"),
        ("paid", "commerce.orders WHERE status = 'paid' AND paid_minor = total_minor AND refunded_minor = 0"),
        (
            "cancelled and refunded",
            "commerce.orders WHERE status = 'cancelled' AND paid_minor > 0 AND paid_minor = refunded_minor",
        ),
        ("cancelled unpaid", "commerce.orders WHERE status = 'cancelled' AND paid_minor = 0"),
    ] {
        told.push((name, count(conn, rows).await?));
    }
    let [(_, all), ends @ ..] = told.as_slice() else { anyhow::bail!("nothing was counted") };
    let of_them: Vec<String> = ends.iter().map(|(name, rows)| format!("{rows} {name}")).collect();
    println!("{all} orders: {}.", of_them.join(", "));
    ensure!(ends.iter().map(|(_, rows)| rows).sum::<i64>() == *all, "some orders have another end");
    let dead = count(conn, "commerce.jobs WHERE state = 'dead'").await?;
    ensure!(dead == 0, "{dead} jobs are dead");
    Ok(())
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    payment: String,
    #[diesel(sql_type = BigInt)]
    captured: i64,
    #[diesel(sql_type = BigInt)]
    refunded: i64,
}

/// All money that moved at the provider moved in the shop, and the other way round, to the cent.
pub async fn compare(conn: &mut AsyncPgConnection, vendor: Vendor, ledger: &Value) -> Result<()> {
    let mut theirs = BTreeMap::new();
    for (payment, sums) in ledger.as_object().context("a ledger has payments")? {
        let sum = |name| sums.get(name).and_then(Value::as_i64).context("a ledger has sums");
        let moved = (sum("captured")?, sum("refunded")?);
        if moved != (0, 0) {
            theirs.insert(payment.clone(), moved);
        }
    }
    let query = "SELECT id::text AS payment, captured_minor AS captured, refunded_minor AS refunded
                 FROM commerce.payments WHERE captured_minor > 0 AND provider = $1";
    let ours: Vec<Line> = diesel::sql_query(query).bind::<Text, _>(vendor.name()).load(conn).await?;
    let ours: BTreeMap<String, (i64, i64)> =
        ours.into_iter().map(|line| (line.payment, (line.captured, line.refunded))).collect();
    let differing = theirs.iter().filter(|(payment, moved)| ours.get(*payment) != Some(moved)).count();
    ensure!(ours == theirs, "the books of {} differ, in {differing} of its lines", vendor.name());
    println!("The books of {} and those of the shop are the same: {} payments.", vendor.name(), ours.len());
    Ok(())
}
