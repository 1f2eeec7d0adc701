//! `commerce-worker reindex`: rebuilds the search index.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use commerce_core::search::{self, Progress};

use crate::config::ReindexArgs;

/// Builds the index and shows the progress: a bar on a terminal, lines elsewhere.
pub async fn reindex(args: ReindexArgs) -> anyhow::Result<()> {
    let server = args.search.meilisearch()?;
    let server = server
        .context("there is nothing to build: MEILISEARCH_URL is not set, and Postgres needs no index")?;
    let pool = args.database.pool(4)?;
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
        let is_last = matches!(progress, Progress::Built { products, of } if products >= of);
        if self.is_terminal {
            print!("\r{}", bar(progress));
            // A terminal that has closed does not stop the rebuild.
            let _ = io::stdout().flush();
        } else if self.told.is_none_or(|told| told.elapsed() > Duration::from_secs(2)) || is_last {
            println!("{}", line(progress));
        } else {
            return;
        }
        self.told = Some(Instant::now());
    }

    fn end(&self) {
        if self.is_terminal && self.told.is_some() {
            println!();
        }
    }
}

fn bar(progress: Progress) -> String {
    let done = match progress {
        Progress::WaitingFor { .. } => 0,
        Progress::Built { products, of } => {
            usize::try_from(products.saturating_mul(WIDTH as i64) / of.max(1)).unwrap_or(WIDTH).min(WIDTH)
        }
    };
    // Wide enough to cover the previous text.
    format!("[{}{}] {:<60}", "#".repeat(done), " ".repeat(WIDTH - done), line(progress))
}

fn line(progress: Progress) -> String {
    match progress {
        Progress::WaitingFor { transactions } => {
            format!("waiting for {transactions} transaction(s) that are changing products")
        }
        Progress::Built { products, of } => format!("{products} of {of} products"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let half = bar(Progress::Built { products: 1, of: 2 });
        assert_eq!(half.trim_end(), format!("[{}{}] 1 of 2 products", "#".repeat(20), " ".repeat(20)));
        assert!(bar(Progress::Built { products: 0, of: 0 }).starts_with("[ "));
        let waiting = bar(Progress::WaitingFor { transactions: 1 });
        assert!(waiting.starts_with("[ ") && waiting.contains("waiting for 1 transaction"), "{waiting}");
    }
}
