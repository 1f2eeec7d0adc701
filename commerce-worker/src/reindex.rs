//! `commerce-worker reindex`: the search index, built anew.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use commerce_core::db::{self, PoolSettings};
use commerce_core::search::{self, Progress};

use crate::config::ReindexArgs;

/// Builds the index and tells how far it is: a bar on a terminal, lines elsewhere.
pub async fn reindex(args: ReindexArgs) -> anyhow::Result<()> {
    let server = args.search.meilisearch().context("MEILISEARCH_URL")?;
    let server = server
        .context("there is nothing to build: MEILISEARCH_URL is not set, and Postgres needs no index")?;
    let settings = PoolSettings { connections_max: 4, ..PoolSettings::default() };
    let pool = db::pool(&args.database.database_url, &settings)?;
    let begun = Instant::now();
    let mut bar = Bar { is_terminal: io::stdout().is_terminal(), told: None };
    let products = search::reindex(&pool, &server, &mut |progress| bar.tell(progress)).await?;
    bar.end();
    println!(
        "The new index has {products} products and answers searches now ({:.1} s).",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

struct Bar {
    is_terminal: bool,
    told: Option<Instant>,
}

const WIDTH: usize = 40;

impl Bar {
    fn tell(&mut self, progress: Progress) {
        let Progress { products, of } = progress;
        if self.is_terminal {
            print!("\r{}", line(progress));
            // A terminal that is gone stops nothing.
            let _ = io::stdout().flush();
        } else if self.told.is_none_or(|told| told.elapsed() > Duration::from_secs(2)) || products >= of {
            println!("{products} of {of} products");
        }
        self.told = Some(Instant::now());
    }

    fn end(&self) {
        if self.is_terminal && self.told.is_some() {
            println!();
        }
    }
}

fn line(Progress { products, of }: Progress) -> String {
    let done = usize::try_from(products.saturating_mul(WIDTH as i64) / of.max(1)).unwrap_or(WIDTH).min(WIDTH);
    format!("[{}{}] {products} of {of} products", "#".repeat(done), " ".repeat(WIDTH - done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        assert_eq!(
            line(Progress { products: 1, of: 2 }),
            format!("[{}{}] 1 of 2 products", "#".repeat(20), " ".repeat(20))
        );
        assert!(line(Progress { products: 0, of: 0 }).starts_with("[ "));
    }
}
