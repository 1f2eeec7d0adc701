//! What a dead payment provider leaves of orders, carts and the other provider.

mod books;
mod line;
mod shopper;
mod tally;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use commerce_core::{audit, db};
use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::stripe::StripePeer;
use commerce_peers::{Delivery, Hooks, RunningPeer};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use self::line::{Line, State};
use self::shopper::Town;
use self::tally::{Event, Phase, Tally, Vendor};
use crate::{goods, server};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An empty database on a server with durability on
    #[arg(long)]
    database_url: String,
    /// The release binary of commerce-api
    #[arg(long)]
    api: PathBuf,
    /// The release binary of commerce-worker
    #[arg(long)]
    worker: PathBuf,
    /// How long the provider is dead
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Shoppers that come in a second
    #[arg(long, default_value_t = 20)]
    shoppers: u32,
    /// The provider that dies
    #[arg(long, default_value = "stripe", value_parser = ["stripe", "razorpay"])]
    provider: String,
}

const STRIPE: [&str; 2] = ["sk_test_key", "whsec_secret"];
const RAZORPAY: [&str; 3] = ["rzp_test_key", "key secret", "webhook secret"];

/// A dead provider changes its way of being dead after so long.
const EACH_WAY: Duration = Duration::from_secs(60);

pub async fn run(arguments: &Arguments) -> Result<()> {
    let dead = if arguments.provider == "stripe" { Vendor::Stripe } else { Vendor::Razorpay };
    db::migrate(&arguments.database_url).await?;
    let mut conn = db::connect(&arguments.database_url).await?;
    goods::stock_shelves(&mut conn).await?;

    let stripe = StripePeer::new(STRIPE[0], STRIPE[1]);
    let razorpay = RazorpayPeer::new(RAZORPAY[0], RAZORPAY[1], RAZORPAY[2]);
    let running = [stripe.start(0).await?, razorpay.start(0).await?];
    let lines = [Line::to(address(&running[0])?).await?, Line::to(address(&running[1])?).await?];
    let settings = settings(&lines);
    let api = server::Api::start_with(&arguments.api, &arguments.database_url, &settings).await?;
    stripe.hooks().deliver_to(format!("http://{}/v1/webhooks/stripe", api.address));
    razorpay.hooks().deliver_to(format!("http://{}/v1/webhooks/razorpay", api.address));
    let mut worker = start_worker(&arguments.worker, &arguments.database_url, &settings)?;

    let (line, hooks) = match dead {
        Vendor::Stripe => (&lines[0], stripe.hooks()),
        Vendor::Razorpay => (&lines[1], razorpay.hooks()),
    };
    let (tally, has_died) = (Arc::new(Tally::default()), Arc::new(AtomicBool::default()));
    let town = Town {
        api: api.address,
        stripe: stripe.clone(),
        razorpay: razorpay.clone(),
        tally: Arc::clone(&tally),
        dead,
        has_died,
    };
    let phases = measure(arguments, &town, line, hooks).await?;
    tally::print_table(&tally, &phases, dead);
    println!();
    let failures = tally.failures();
    ensure!(failures.is_empty(), "{} shoppers failed, such as: {:?}", failures.len(), failures.first());

    // What is asked for again and again waits as long as the provider was dead, and a quarter more.
    books::settle(&mut conn, Duration::from_secs(arguments.seconds * 2 + 300)).await?;
    books::check_orders(&mut conn).await?;
    books::compare(&mut conn, Vendor::Stripe, &stripe.ledger()).await?;
    books::compare(&mut conn, Vendor::Razorpay, &razorpay.ledger()).await?;
    let breaches = audit::verify(&mut conn).await?;
    ensure!(breaches.is_empty(), "the invariants are broken: {breaches:#?}");
    println!("The invariants hold.");
    compare_phases(&tally, &phases, dead)?;
    worker.kill().await?;
    Ok(())
}

/// Shoppers come all the time: before the provider dies, while it is dead, and when it is back.
async fn measure(arguments: &Arguments, town: &Town, line: &Line, hooks: &Arc<Hooks>) -> Result<[Phase; 3]> {
    let (dying, beside) =
        (Duration::from_secs(arguments.seconds), Duration::from_secs(arguments.seconds.clamp(20, 60)));
    let begin = Instant::now();
    // The first seconds fill caches and connections, and are not measured.
    let warm = begin + Duration::from_secs(5);
    let dies = warm + beside;
    let back = dies + dying;
    let end = back + beside;
    let phases = [
        Phase { name: "before", from: warm, until: dies },
        Phase { name: "dead", from: dies, until: back },
        Phase { name: "after", from: back, until: end },
    ];
    tally::print_head(town.dead);
    let mut shoppers = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / arguments.shoppers);
    let (mut number, mut second, mut state) = (0, 0, State::Alive);
    while Instant::now() < end {
        tick.tick().await;
        shoppers.spawn(shopper::shop(town.clone(), number));
        number += 1;
        let now = Instant::now();
        let wanted = state_at(now, dies, back);
        if wanted != state {
            state = wanted;
            line.set(state);
            town.has_died.fetch_or(state != State::Alive, Ordering::Relaxed);
            // A dead provider sends no webhooks. It sends them when it is back.
            hooks.set_delivery(if state == State::Alive { Delivery::Send } else { Delivery::Hold });
            if state == State::Alive {
                hooks.release(false);
            }
        }
        if now.duration_since(begin).as_secs() > second {
            let from = begin + Duration::from_secs(second);
            let what = match state {
                State::Alive => "",
                State::BlackHole => "black hole",
                State::Refusing => "refusing",
            };
            second += 1;
            tally::print_second(
                &town.tally,
                second,
                what,
                town.dead,
                from,
                begin + Duration::from_secs(second),
            );
        }
    }
    shoppers.join_all().await;
    Ok(phases)
}

fn state_at(now: Instant, dies: Instant, back: Instant) -> State {
    if now < dies || now >= back {
        return State::Alive;
    }
    let each = EACH_WAY.min(back.duration_since(dies) / 2);
    match now.duration_since(dies).as_millis() / each.as_millis().max(1) % 2 {
        0 => State::BlackHole,
        _ => State::Refusing,
    }
}

/// While the provider was dead, nobody else noticed.
fn compare_phases(tally: &Tally, [before, dead_phase, _]: &[Phase; 3], dead: Vendor) -> Result<()> {
    for event in
        [Event::Order, Event::CartChange, Event::Paid(dead.other()), Event::PaidByWebhook(dead.other())]
    {
        let rate =
            |phase: &Phase| tally.between(event, phase.from, phase.until).len() as f64 / phase.seconds();
        let (was, is) = (rate(before), rate(dead_phase));
        ensure!(is >= 0.95 * was, "{event:?}: {is:.1} a second while the provider was dead, {was:.1} before");
    }
    Ok(())
}

fn address(peer: &RunningPeer) -> Result<SocketAddr> {
    let url = peer.url();
    url.rsplit('/').next().and_then(|address| address.parse().ok()).context("a peer has an address")
}

/// Orders expire while the provider is dead, so that the worker has to ask it.
fn settings(lines: &[Line; 2]) -> Vec<(&'static str, String)> {
    [
        ("COMMERCE_PAYMENT_PROVIDERS", "stripe,razorpay".to_owned()),
        ("COMMERCE_ORDER_TTL", "60s".to_owned()),
        ("STRIPE_SECRET_KEY", STRIPE[0].to_owned()),
        ("STRIPE_WEBHOOK_SECRET", STRIPE[1].to_owned()),
        ("STRIPE_API_BASE", format!("http://{}", lines[0].address)),
        ("RAZORPAY_KEY_ID", RAZORPAY[0].to_owned()),
        ("RAZORPAY_KEY_SECRET", RAZORPAY[1].to_owned()),
        ("RAZORPAY_WEBHOOK_SECRET", RAZORPAY[2].to_owned()),
        ("RAZORPAY_API_BASE", format!("http://{}", lines[1].address)),
        ("RUST_LOG", "error".to_owned()),
    ]
    .into()
}

fn start_worker(binary: &Path, database_url: &str, settings: &[(&'static str, String)]) -> Result<Child> {
    let process = Command::new(binary)
        .env("DATABASE_URL", database_url)
        .env("COMMERCE_SECRET_KEY", goods::SECRET)
        .env("COMMERCE_MAIL_DIR", std::env::temp_dir().join("commerce-bench-mail"))
        .envs(settings.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    process.with_context(|| format!("{} does not start", binary.display()))
}
