//! The connections that read the catalogue. However many readers there are, purchases have connections left and go
//! first.

use std::time::Duration;

use commerce_core::db::Pool;

use crate::http::problem::Problem;

/// Readers that may wait for a connection, for each that there is.
const WAITING_PER_CONNECTION: usize = 16;

/// How long a refused reader waits for the refusal.
const REFUSAL_AFTER: Duration = Duration::from_secs(1);

/// The pools of readers.
pub struct Readers {
    /// Serves readers at any time.
    pub always: Pool,
    /// Serves more of them while nobody buys.
    pub spare: Pool,
}

impl Readers {
    /// The pool to read the catalogue with; `purchases` is the pool of those who buy. It refuses what would wait behind
    /// many others: the answer would come too late to be of use, and the queue would only grow. The refusal waits for a
    /// second, so that whoever asks again at once costs little.
    pub async fn pool(&self, purchases: &Pool) -> Result<&Pool, Problem> {
        let Self { always, spare } = self;
        if in_use(purchases) == 0 && in_use(spare) < spare.status().max_size {
            return Ok(spare);
        }
        let status = always.status();
        if status.waiting > status.max_size * WAITING_PER_CONNECTION {
            metrics::counter!("commerce_reads_refused_total").increment(1);
            tokio::time::sleep(REFUSAL_AFTER).await;
            return Err(Problem::crowded());
        }
        Ok(always)
    }
}

fn in_use(pool: &Pool) -> usize {
    let status = pool.status();
    status.size.saturating_sub(status.available)
}
