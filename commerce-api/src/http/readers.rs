//! The connections that read the catalogue. However many readers there are, purchases have connections left and go first.

use std::time::Duration;

use commerce_core::db::{Pool, PooledConnection};

use crate::http::problem::Problem;
use crate::http::state::State;

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

impl State {
    /// A connection to read the catalogue with.
    pub async fn reader(&self) -> Result<PooledConnection, Problem> {
        Ok(self.readers_pool().await?.get().await?)
    }

    /// The pool to read the catalogue with. It refuses what would wait behind many others: the answer would come too late to
    /// be of use, and the queue would only grow. The refusal waits for a second, so that whoever asks again at once costs
    /// little.
    pub async fn readers_pool(&self) -> Result<&Pool, Problem> {
        let Readers { always, spare } = &self.readers;
        if in_use(&self.pool) == 0 && in_use(spare) < spare.status().max_size {
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
