//! The job `resize_image`: makes the smaller copies of an uploaded image.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};

use super::delete_files::DeleteFiles;
use super::files::{announce_files, give_files};
use super::refusal::ImageRefusal;
use super::shrink::SmallerCopy;
use super::store::{FileKey, Media, MediaError};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError};
use crate::ids::ImageId;
use crate::queue::{self, CompleteError, Failure, Job, Lease};
use crate::schema::product_images;

/// Makes the smaller copies of an uploaded image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeImage {
    /// The uploaded image.
    pub image_id: ImageId,
}

impl Job for ResizeImage {
    const KIND: &'static str = "resize_image";
    const ATTEMPTS_MAX: i32 = 12;
}

impl From<ResizeImageError> for Failure {
    fn from(error: ResizeImageError) -> Self {
        match error {
            ResizeImageError::Unreadable(_) => Failure::Abort(error.to_string()),
            _ => Failure::Retry(error.to_string()),
        }
    }
}

/// Why the copies were not made.
#[derive(Debug, thiserror::Error)]
pub enum ResizeImageError {
    /// The image cannot be decoded, though that worked at the upload. Trying again does not help.
    #[error("the picture {0}")]
    Unreadable(#[from] ImageRefusal),
    /// The media store failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The work took too long.
    #[error("writing the copies took too long")]
    TooSlow,
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// The job could not be completed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ResizeImageError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Complete(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl<E: Into<Self>> From<TransactionError<E>> for ResizeImageError {
    fn from(error: TransactionError<E>) -> Self {
        match error {
            TransactionError::NoConnection(error) => error.into(),
            TransactionError::RolledBack(error) => error.into(),
        }
    }
}

/// The whole job: reads the image, writes its copies under new names, then shows them and completes the job
/// in one transaction. If an attempt fails halfway or the image was removed, its copies are deleted like
/// other files without an image.
pub async fn resize_image(
    pool: &Pool,
    media: &Media,
    lease: Lease,
    image_id: ImageId,
) -> Result<(), ResizeImageError> {
    let key: Option<Option<String>> = {
        let mut conn = pool.get().await?;
        let image = product_images::table.find(image_id).select(product_images::storage_key);
        image.first(&mut conn).await.optional()?
    };
    let copies = match key.flatten().as_deref().and_then(FileKey::parse) {
        Some(key) => media.shrink(media.read(&key).await?).await?,
        None => Vec::new(),
    };
    let keys: Vec<FileKey> = copies.iter().map(|copy| FileKey::new(copy.format)).collect();
    if !keys.is_empty() {
        announce_files(&mut *pool.get().await?, &keys).await?;
    }
    for (key, copy) in keys.iter().zip(&copies) {
        media.put(key, copy.bytes.clone()).await?;
    }
    let shown = shown(&keys, &copies);
    db::in_transaction(pool, "resize_image", async |conn: &mut AsyncPgConnection| {
        queue::complete(conn, lease).await?;
        show(conn, image_id, &keys, &shown).await
    })
    .await?;
    Ok(())
}

/// The value of `product_images.variants`.
fn shown(keys: &[FileKey], copies: &[SmallerCopy]) -> serde_json::Value {
    keys.iter()
        .zip(copies)
        .map(|(key, copy)| {
            serde_json::json!({ "width": copy.width, "height": copy.height, "key": key.to_string() })
        })
        .collect()
}

async fn show(
    conn: &mut AsyncPgConnection,
    image_id: ImageId,
    keys: &[FileKey],
    shown: &serde_json::Value,
) -> Result<(), ResizeImageError> {
    if keys.is_empty() {
        return Ok(());
    }
    let image = product_images::table.find(image_id).select(product_images::id);
    let image: Option<ImageId> = image.for_no_key_update().first(conn).await.optional()?;
    if image.is_none() {
        let keys = keys.iter().map(FileKey::to_string).collect();
        queue::enqueue(conn, &DeleteFiles { keys }).await?;
        return Ok(());
    }
    if !give_files(conn, image_id, keys).await? {
        return Err(ResizeImageError::TooSlow);
    }
    diesel::update(product_images::table.find(image_id))
        .set(product_images::variants.eq(shown))
        .execute(conn)
        .await?;
    Ok(())
}
