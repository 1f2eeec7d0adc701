//! What shoppers did, when, and how long it took.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::figures::percentile;

/// Something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    CartChange,
    Order,
    /// With this provider: the requests that begin the payment and confirm it.
    Paid(Vendor),
    /// With this provider, from the shopper's payment to the paid order, by its webhook alone.
    PaidByWebhook(Vendor),
    /// The shop answered that this provider is not available.
    Unavailable(Vendor),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    Stripe,
    Razorpay,
}

impl Vendor {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Razorpay => "razorpay",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Stripe => Self::Razorpay,
            Self::Razorpay => Self::Stripe,
        }
    }
}

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    pub name: &'static str,
    pub from: Instant,
    pub until: Instant,
}

impl Phase {
    pub fn seconds(&self) -> f64 {
        self.until.duration_since(self.from).as_secs_f64()
    }
}

#[derive(Default)]
pub struct Tally(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    events: BTreeMap<Event, Vec<(Instant, Duration)>>,
    failures: Vec<String>,
}

impl Tally {
    /// It has just ended, and has taken so long.
    pub fn count(&self, event: Event, took: Duration) {
        self.inner().events.entry(event).or_default().push((Instant::now(), took));
    }

    /// Something went wrong that no dead provider excuses.
    pub fn fail(&self, failure: String) {
        self.inner().failures.push(failure);
    }

    pub fn failures(&self) -> Vec<String> {
        self.inner().failures.clone()
    }

    /// What ended in this time took so long.
    pub fn between(&self, event: Event, from: Instant, until: Instant) -> Vec<Duration> {
        let inner = self.inner();
        let all = inner.events.get(&event).map(Vec::as_slice).unwrap_or_default();
        // Later events are at the end.
        let recent = all.iter().rev().skip_while(|(at, _)| *at >= until).take_while(|(at, _)| *at >= from);
        recent.map(|(_, took)| *took).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head of the lines of seconds.
pub fn print_head(dead: Vendor) {
    println!("\nEvery second: what was done, and the slowest payment with {}.\n", dead.other().name());
    println!(
        "{:>6}  {:<10} {:>8} {:>8} {:>8} {:>12} {:>8} {:>12}",
        "s",
        "",
        "orders",
        "carts",
        dead.other().name(),
        "slowest ms",
        dead.name(),
        "unavailable"
    );
}

pub fn print_second(tally: &Tally, second: u64, what: &str, dead: Vendor, from: Instant, until: Instant) {
    let count = |event| tally.between(event, from, until).len();
    let living = tally.between(Event::Paid(dead.other()), from, until);
    println!(
        "{second:>6}  {what:<10} {:>8} {:>8} {:>8} {:>12.1} {:>8} {:>12}",
        count(Event::Order),
        count(Event::CartChange),
        living.len(),
        living.iter().max().map_or(0.0, |slowest| slowest.as_secs_f64() * 1000.0),
        count(Event::Paid(dead)),
        count(Event::Unavailable(dead)),
    );
}

/// The table: a row for each kind of event, and each phase beside the others.
pub fn print_table(tally: &Tally, phases: &[Phase], dead: Vendor) {
    let (alive, dead_name) = (dead.other(), dead.name());
    println!("\n{dead_name} is dead in the phase \"dead\". A second is given as p50 / p99 in ms.\n");
    print!("| what |");
    phases.iter().for_each(|phase| print!(" {}: a second | p50 / p99 |", phase.name));
    println!("\n|---|{}", "--:|--:|".repeat(phases.len()));
    for (name, event) in [
        ("orders".to_owned(), Event::Order),
        ("changes of carts".to_owned(), Event::CartChange),
        (format!("payments with {}", alive.name()), Event::Paid(alive)),
        (format!("payments with {}, by webhook alone", alive.name()), Event::PaidByWebhook(alive)),
        (format!("payments with {dead_name}"), Event::Paid(dead)),
        (format!("refusals of {dead_name}: provider_unavailable"), Event::Unavailable(dead)),
    ] {
        print!("| {name} |");
        for phase in phases {
            let took = tally.between(event, phase.from, phase.until);
            let ms = |share| percentile(&took, share).as_secs_f64() * 1000.0;
            print!(" {:.1} | {:.1} / {:.1} |", took.len() as f64 / phase.seconds(), ms(0.5), ms(0.99));
        }
        println!();
    }
}
