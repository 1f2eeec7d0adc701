//! `resize_image`: the smaller copies of one upload.

use commerce_core::catalog::image::{self, Media, ResizeImageError};
use commerce_core::db::Pool;
use commerce_core::jobs::kinds::ResizeImage;
use commerce_core::jobs::{Failure, Lease};

/// Makes the copies, shows them and completes the job.
pub async fn run(pool: Pool, media: Media, lease: Lease, job: ResizeImage) -> Result<(), Failure> {
    match image::resize_image(&pool, &media, lease, job.image_id).await {
        Ok(()) => Ok(()),
        Err(error @ ResizeImageError::Unreadable(_)) => Err(Failure::Abort(error.to_string())),
        Err(error) => Err(Failure::Retry(error.to_string())),
    }
}
