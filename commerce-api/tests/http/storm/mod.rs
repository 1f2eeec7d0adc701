//! A storm of writes: a random mix of every write operation, from many connections, on few rows, in both
//! reservation modes, while workers run jobs and sweeps. No transaction deadlocks, and nothing fails.

mod bodies;
mod requests;
mod things;
mod workers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use commerce_core::db::{Pool, PoolSettings, pool};
use commerce_core::settings::{ReservationMode, ShopSettings};
use poem::http::Method;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::requests::Client;
use self::things::Things;
use crate::shop::{Beside, Got, TestShop};
use crate::surface::{Operation, Surface};

/// Clients, and connections that they share.
const CLIENTS: usize = 32;

/// The variable with the seed of an earlier storm.
const SEED_VARIABLE: &str = "COMMERCE_STORM_SEED";

/// Answers by operation and status: how many, and one of them.
type Tally = BTreeMap<(String, u16), (usize, String)>;

struct Storm {
    /// The same shop in both modes. A cart stays in one of them.
    modes: [Beside; 2],
    shop: TestShop,
    things: Things,
    operations: Vec<Operation>,
    tally: Mutex<Tally>,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// The database's URL for connections whose end can be waited for.
fn named(url: &str) -> String {
    format!("{url}{}application_name=storm", if url.contains('?') { '&' } else { '?' })
}

/// How often an operation is chosen, compared with the others.
fn weight(operation: &str) -> u32 {
    match operation {
        "add_cart_item" | "replace_cart" | "checkout" => 20,
        "pay_order" | "adjust_stock" | "update_product" | "update_variant" => 8,
        "set_cart_item_quantity" | "remove_cart_item" | "cancel_order" | "confirm_payment" => 6,
        "merge_cart" | "admin_move_order" | "update_category" => 6,
        "create_shipment" | "move_shipment" | "add_checkpoint" => 6,
        "request_return" | "admin_move_return" | "declare_withdrawal" | "confirm_withdrawal" => 6,
        "create_category" | "reorder_categories" | "delete_category" | "admin_update_user" => 4,
        // What ends things, so that the others find some.
        "archive_product" | "deactivate_variant" | "clear_cart" | "admin_delete_user" | "logout" => 1,
        // Hashing passwords is bound by the processor, and then refused with 503.
        "register" | "login" | "reset_password" | "change_password" | "change_email" | "delete_me" => 1,
        "begin_second_factor" | "remove_second_factor" => 1,
        _ => 2,
    }
}

/// Lets a storm rage for this time.
pub async fn rage(time: Duration) {
    let given = std::env::var(SEED_VARIABLE).ok();
    let seed: u64 = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("{SEED_VARIABLE}={seed}");
    let shop = TestShop::new().await;
    let settings = PoolSettings {
        connections_max: CLIENTS,
        // Long, because the machine may be busy. Postgres finds a deadlock within a second.
        wait_timeout: Duration::from_secs(60),
        lock_timeout: Duration::from_secs(60),
        statement_timeout: Duration::from_secs(60),
        ..PoolSettings::default()
    };
    let connections = pool(&named(shop.database.url()), &settings).unwrap();
    let rules = |reservation_mode| ShopSettings {
        reservation_mode,
        order_ttl: Duration::from_secs(3),
        cart_hold_ttl: Duration::from_secs(2),
        ..ShopSettings::default()
    };
    let modes = [ReservationMode::Checkout, ReservationMode::Cart]
        .map(|mode| shop.with_rules_over(connections.clone(), rules(mode)));
    let operations: Vec<Operation> = Surface::read()
        .operations()
        .into_iter()
        .filter(|operation| operation.method != Method::GET)
        .flat_map(|operation| vec![operation.clone(); weight(&operation.id) as usize])
        .collect();
    let things = Things::new(&shop).await;
    let storm = Arc::new(Storm {
        modes,
        shop,
        things,
        operations,
        tally: Mutex::default(),
        failures: Mutex::default(),
        stop: AtomicBool::new(false),
    });

    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (storm, rng) = (Arc::clone(&storm), StdRng::seed_from_u64(seed.wrapping_add(number as u64)));
        tasks.spawn(async move { storm.be_a_client(number, rng).await });
    }
    for number in 0..2 {
        let (storm, rules) = (Arc::clone(&storm), rules(ReservationMode::Cart));
        tasks.spawn(async move { workers::work(&storm, number, rules).await });
    }
    let begun = Instant::now();
    tokio::time::sleep(time).await;
    storm.stop.store(true, Ordering::Relaxed);
    tasks.join_all().await;
    let took = begun.elapsed();
    let Ok(storm) = Arc::try_unwrap(storm) else { panic!("a client is still at work") };
    storm.judge(connections, took).await;
}

impl Storm {
    async fn be_a_client(&self, number: usize, mut rng: StdRng) {
        let mut client = Client::new(self, number);
        while !self.stop.load(Ordering::Relaxed) {
            let operation = &self.operations[rng.random_range(0..self.operations.len())];
            let Some(ask) = client.request(self, operation, &mut rng).await else { continue };
            let got = self.modes[number % 2].send(ask).await;
            self.note(&operation.id, &got);
            client.learn(self, operation, &got, &mut rng).await;
        }
    }

    fn note(&self, operation: &str, got: &Got) {
        let status = got.status.as_u16();
        if status >= 500 {
            self.failures.lock().unwrap().push(format!("{operation}: {}", got.text));
        }
        let mut tally = self.tally.lock().unwrap();
        let entry = tally.entry((operation.to_owned(), status)).or_default();
        *entry = (entry.0 + 1, got.text.clone());
    }

    /// Everything that must hold after a storm.
    async fn judge(self, connections: Pool, took: Duration) {
        let tally = self.tally.into_inner().unwrap();
        let mut by_operation: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((operation, status), (count, text)) in &tally {
            // Of refusals, what one of them says.
            let told: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let fault = told["errors"][0]["message"].as_str().unwrap_or_default();
            let detail =
                told["detail"].as_str().map(|detail| format!(" ({detail} {fault})")).unwrap_or_default();
            by_operation.entry(operation).or_default().push(format!("{status}: {count}{detail}"));
        }
        for (operation, answers) in &by_operation {
            println!("{operation:30} {}", answers.join(", "));
        }
        let sent: usize = tally.values().map(|(count, _)| count).sum();
        let deadlocks = deadlocks(&self.shop, connections).await;
        let failures = self.failures.into_inner().unwrap();
        println!("{sent} writes in {took:.1?}, {deadlocks} deadlocks, {} failures", failures.len());
        assert!(failures.is_empty(), "{failures:#?}");
        assert_eq!(deadlocks, 0);
        let all: std::collections::BTreeSet<&str> =
            self.operations.iter().map(|operation| operation.id.as_str()).collect();
        let missing: Vec<&&str> = all.iter().filter(|id| !by_operation.contains_key(**id)).collect();
        assert!(sent < 2000 || missing.is_empty(), "never sent: {missing:?}");
        self.shop.database.finish().await;
    }
}

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

/// The deadlocks that Postgres has counted in this database. A connection reports its own when it ends.
async fn deadlocks(shop: &TestShop, connections: Pool) -> i64 {
    connections.close();
    use diesel_async::RunQueryDsl as _;
    let conn = &mut shop.database.conn().await;
    let mut count = async |query: &str| {
        let row: Number = diesel::sql_query(query).get_result(conn).await.unwrap();
        row.number
    };
    let others = "SELECT count(*) AS number FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'storm'";
    let begun = Instant::now();
    while count(others).await > 0 && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    count("SELECT deadlocks AS number FROM pg_stat_database WHERE datname = current_database()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_of_every_write_at_once_deadlock_nothing() {
    rage(Duration::from_secs(10)).await;
}
