//! Both peers, until they are stopped. `cargo xtask dev --with-provider-peers` starts this program.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::stripe::StripePeer;

/// Loopback peers of Stripe and Razorpay, for trying a shop out. No real money moves.
#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    /// The URL of the shop's API; webhooks go to /v1/webhooks/… there
    #[arg(long, env = "COMMERCE_PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
    shop: String,

    /// Where the peer of Stripe listens. It is always on loopback
    #[arg(long, env = "COMMERCE_STRIPE_PEER_ADDR", default_value = "127.0.0.1:8083")]
    stripe_addr: SocketAddr,

    /// Where the peer of Razorpay listens. It is always on loopback
    #[arg(long, env = "COMMERCE_RAZORPAY_PEER_ADDR", default_value = "127.0.0.1:8084")]
    razorpay_addr: SocketAddr,

    /// The key that the shop must use
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true)]
    stripe_secret_key: String,

    #[arg(long, env = "STRIPE_WEBHOOK_SECRET", hide_env_values = true)]
    stripe_webhook_secret: String,

    #[arg(long, env = "RAZORPAY_KEY_ID")]
    razorpay_key_id: String,

    #[arg(long, env = "RAZORPAY_KEY_SECRET", hide_env_values = true)]
    razorpay_key_secret: String,

    #[arg(long, env = "RAZORPAY_WEBHOOK_SECRET", hide_env_values = true)]
    razorpay_webhook_secret: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let shop = arguments.shop.trim_end_matches('/');
    let stripe = StripePeer::new(&arguments.stripe_secret_key, &arguments.stripe_webhook_secret);
    stripe.hooks().deliver_to(format!("{shop}/v1/webhooks/stripe"));
    let razorpay = RazorpayPeer::new(
        &arguments.razorpay_key_id,
        &arguments.razorpay_key_secret,
        &arguments.razorpay_webhook_secret,
    );
    razorpay.hooks().deliver_to(format!("{shop}/v1/webhooks/razorpay"));
    // The shop remembers the ids of earlier runs. Razorpay's have room for ten digits, which is enough for months.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let number = u64::try_from(since_epoch.as_millis())? % 10_000_000_000;
    stripe.count_ids_from(number);
    razorpay.count_ids_from(number);
    let running_stripe = stripe.start(arguments.stripe_addr.port()).await?;
    let running_razorpay = razorpay.start(arguments.razorpay_addr.port()).await?;
    println!("a peer of Stripe listens at {}", running_stripe.url());
    println!("a peer of Razorpay listens at {}", running_razorpay.url());
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = running_stripe.wait() => {}
        () = running_razorpay.wait() => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
