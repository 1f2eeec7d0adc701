//! `delete_files`: what removed images leave in the media store.

use commerce_core::catalog::image::{self, Media};
use commerce_core::db::Pool;
use commerce_core::jobs::kinds::DeleteFiles;
use commerce_core::jobs::{Failure, Lease};

/// Deletes the files and completes the job.
pub async fn run(pool: Pool, media: Media, lease: Lease, job: DeleteFiles) -> Result<(), Failure> {
    let deleted = image::delete_files(&pool, &media, lease, &job.keys).await;
    deleted.map_err(|error| Failure::Retry(error.to_string()))
}
