//! The table.

use std::time::Duration;

use crate::goods::Spread;
use crate::wal::Wal;

/// What one side did.
#[derive(Debug, Default)]
pub struct Figures {
    /// Of every checkout that succeeded.
    pub latencies: Vec<Duration>,
    pub errors: u64,
    pub time: Duration,
    pub wal: Wal,
    /// What Postgres used of the processors meanwhile, with all its processes.
    pub postgres_cpu: Duration,
    /// What commerce-api used.
    pub api_cpu: Duration,
}

impl Figures {
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.errors += other.errors;
        self.time += other.time;
        self.wal = Wal { bytes: self.wal.bytes + other.wal.bytes, syncs: self.wal.syncs + other.wal.syncs };
        self.postgres_cpu += other.postgres_cpu;
        self.api_cpu += other.api_cpu;
    }

    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    fn per_order(&self, total: i64) -> f64 {
        total as f64 / self.latencies.len().max(1) as f64
    }

    fn ms_per_order(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1000.0 / self.latencies.len().max(1) as f64
    }
}

/// All sides of one comparison.
#[derive(Debug)]
pub struct Row {
    pub spread: Spread,
    pub clients: usize,
    pub smallest: Figures,
    pub floor: Figures,
    pub http: Figures,
}

pub fn print(rows: &[Row], seconds: u64) {
    println!(
        "\nCheckout over HTTP against pgbench running the same SQL, and the smallest honest order (lock, decrement, order, line, \
         payment: five prepared statements); {seconds} s a figure, durability on.\n"
    );
    println!(
        "| demand on | at once | orders/s | same SQL/s | ratio | smallest/s | ratio | p50 ms | p95 ms | p99 ms | same SQL p99 | errors |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for Row { spread, clients, smallest, floor, http } in rows {
        let ms = |figures: &Figures, share| percentile(&figures.latencies, share).as_secs_f64() * 1000.0;
        println!(
            "| {spread} | {clients} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            http.per_second(),
            floor.per_second(),
            http.per_second() / floor.per_second(),
            smallest.per_second(),
            http.per_second() / smallest.per_second(),
            ms(http, 0.5),
            ms(http, 0.95),
            ms(http, 0.99),
            ms(floor, 0.99),
            http.errors,
        );
    }
    println!("\nWhat one order costs: over HTTP / same SQL / smallest.\n");
    println!(
        "| demand on | at once | CPU of commerce-api, ms | CPU of Postgres, ms | WAL, bytes | WAL syncs |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for Row { spread, clients, smallest, floor, http } in rows {
        let sides = [http, floor, smallest];
        let [cpu, wal, syncs] = [
            sides.map(|side| format!("{:.2}", side.ms_per_order(side.postgres_cpu))),
            sides.map(|side| format!("{:.0}", side.per_order(side.wal.bytes))),
            sides.map(|side| format!("{:.2}", side.per_order(side.wal.syncs))),
        ]
        .map(|of_each| of_each.join(" / "));
        let api = http.ms_per_order(http.api_cpu);
        println!("| {spread} | {clients} | {api:.2} | {cpu} | {wal} | {syncs} |");
    }
}

/// The figures of commerce-api alone.
pub fn print_http(rows: &[Row], seconds: u64) {
    println!("\nCheckout over HTTP, {seconds} s a figure, durability on.\n");
    println!(
        "| demand on | at once | orders/s | p50 ms | p99 ms | CPU of commerce-api, ms | CPU of Postgres, ms | errors |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for Row { spread, clients, http, .. } in rows {
        let ms = |share| percentile(&http.latencies, share).as_secs_f64() * 1000.0;
        println!(
            "| {spread} | {clients} | {:.0} | {:.2} | {:.2} | {:.3} | {:.3} | {} |",
            http.per_second(),
            ms(0.5),
            ms(0.99),
            http.ms_per_order(http.api_cpu),
            http.ms_per_order(http.postgres_cpu),
            http.errors,
        );
    }
}

/// The table of readings: name, constant, reading.
pub fn print_readings(rows: &[(&str, Figures, Figures)], products: u64, clients: usize, seconds: u64) {
    println!(
        "\nReading over HTTP with {products} products, {clients} at once, {seconds} s a figure, against the same server answering a constant of equal size.\n"
    );
    println!("| what | answers/s | constant/s | ratio | p50 ms | p95 ms | p99 ms | constant p99 |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for (name, constant, reading) in rows {
        let ms = |figures: &Figures, share| percentile(&figures.latencies, share).as_secs_f64() * 1000.0;
        println!(
            "| {name} | {:.0} | {:.0} | {:.3} | {:.1} | {:.1} | {:.1} | {:.1} |",
            reading.per_second(),
            constant.per_second(),
            reading.per_second() / constant.per_second(),
            ms(reading, 0.5),
            ms(reading, 0.95),
            ms(reading, 0.99),
            ms(constant, 0.99),
        );
    }
}

/// Meilisearch alone, and the API over it.
pub fn print_directly(searches: &[(&'static str, Figures); 3]) {
    println!("\n| search | answers/s | p50 ms | p95 ms | p99 ms |");
    println!("|---|--:|--:|--:|--:|");
    let ms = |figures: &Figures, share| percentile(&figures.latencies, share).as_secs_f64() * 1000.0;
    for (name, figures) in searches {
        println!(
            "| {name} | {:.0} | {:.1} | {:.1} | {:.1} |",
            figures.per_second(),
            ms(figures, 0.5),
            ms(figures, 0.95),
            ms(figures, 0.99)
        );
    }
    let [p95_whole, p95_ids, p95_api] = searches.each_ref().map(|(_, figures)| ms(figures, 0.95));
    println!(
        "\np95 through the API is {:.2} of Meilisearch's own for whole products with the words marked, and {:.2} of its own for nothing but ids.",
        p95_api / p95_whole,
        p95_api / p95_ids
    );
}

pub fn percentile(latencies: &[Duration], share: f64) -> Duration {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}
