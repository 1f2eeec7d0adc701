//! What many hostile searches at once leave of the checkout.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use commerce_core::{audit, db};

use crate::figures::{Figures, percentile};
use crate::goods::Spread;
use crate::load::Question;
use crate::{catalogue, goods, load, server};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An empty database
    #[arg(long)]
    database_url: String,
    /// The release binary of commerce-api
    #[arg(long)]
    api: PathBuf,
    /// How many products are searched
    #[arg(long, default_value_t = 15_000)]
    products: u64,
    /// How long each figure is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many shoppers check out at once
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// How many hostile searches run at once
    #[arg(long, default_value_t = 200)]
    searches: usize,
}

/// Searches and lists that look through as much as they can: common words, words of one letter, all filters.
const HOSTILE: [&str; 5] = [
    "/v1/products/search?q=a+o&option=Color:red&option=Size:M&option=Material:oak&in_stock=true",
    "/v1/products/search?q=walnut+oak+blue+round+soft+tray+desk+shirt+mug+kettle&sort=price",
    "/v1/products/search?q=e&min_price=0&max_price=100000000&in_stock=true",
    "/v1/products?q=a+e&sort=-price&limit=100",
    "/v1/products?in_stock=true&sort=title&limit=100",
];

/// As if every search came from another network: limits by network are off, and what is left is what protects
/// the checkout from readers.
pub async fn run(arguments: &Arguments) -> Result<()> {
    catalogue::fill(&arguments.database_url, &arguments.api, arguments.products).await?;
    let mut conn = db::connect(&arguments.database_url).await?;
    goods::stock_shelves(&mut conn).await?;
    let api = server::Api::start(&arguments.api, &arguments.database_url, None).await?;
    let time = Duration::from_secs(arguments.seconds) / 2;
    let hostile: Vec<Question> = HOSTILE.iter().map(|path| Question::Get((*path).to_owned())).collect();
    let (mut alone, mut attacked, mut searches) =
        (Figures::default(), Figures::default(), Figures::default());
    for _ in 0..2 {
        let carts = goods::fill_carts(&mut conn, Spread::Wide, arguments.clients, time, true).await?;
        eprintln!("shoppers alone …");
        alone.add(load::run(api.address, &carts, time).await?);
        let carts = goods::fill_carts(&mut conn, Spread::Wide, arguments.clients, time, true).await?;
        eprintln!("shoppers, and {} hostile searches at once …", arguments.searches);
        let (shopping, searching) = tokio::join!(
            load::run(api.address, &carts, time),
            load::read(api.address, &hostile, arguments.searches, time)
        );
        attacked.add(shopping?);
        searches.add(searching?);
    }
    let breaches = audit::verify(&mut conn).await?;
    ensure!(breaches.is_empty(), "the invariants are broken after the load: {breaches:#?}");
    println!(
        "\n{} shoppers check out, alone and beside {} hostile searches at once, of {} products; {} s a figure.\n",
        arguments.clients, arguments.searches, arguments.products, arguments.seconds
    );
    println!("| | orders/s | p50 ms | p99 ms | refused |\n|---|--:|--:|--:|--:|");
    for (name, figures) in [("alone", &alone), ("beside the searches", &attacked)] {
        let ms = |share| percentile(&figures.latencies, share).as_secs_f64() * 1000.0;
        let (p50, p99) = (ms(0.5), ms(0.99));
        println!("| {name} | {:.0} | {p50:.1} | {p99:.1} | {} |", figures.per_second(), figures.errors);
    }
    println!("\nRatio: {:.2}.", attacked.per_second() / alone.per_second());
    println!("Searches: {} answered, {} refused with 503.", searches.latencies.len(), searches.errors);
    Ok(())
}
