//! `index_products`: what was changed is found as it is now.

use commerce_core::db::Pool;
use commerce_core::jobs::kinds::IndexProducts;
use commerce_core::jobs::{Failure, Lease};
use commerce_core::search::{self, Meilisearch};

/// Brings search up to date and completes the job.
pub async fn run(
    pool: Pool,
    server: Option<Meilisearch>,
    lease: Lease,
    job: IndexProducts,
) -> Result<(), Failure> {
    let done = search::index_products(&pool, server.as_ref(), lease, &job).await;
    done.map_err(|error| Failure::Retry(error.to_string()))
}
