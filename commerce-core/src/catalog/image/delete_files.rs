//! The job `delete_files`, and the sweep for files that no job deletes.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};

use super::store::{FileKey, Media, MediaError};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError};
use crate::queue::{self, CompleteError, Failure, Job, Lease};
use crate::schema::media_files;

/// Deletes files of removed images from the media store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteFiles {
    /// Names of the files.
    pub keys: Vec<String>,
}

impl Job for DeleteFiles {
    const KIND: &'static str = "delete_files";
    const ATTEMPTS_MAX: i32 = 12;
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        Failure::Retry(error.to_string())
    }
}

/// A file that has belonged to no image for this long was left behind by a crash.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why files were not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The media store failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// The job's lease ran out before the files were deleted, or the job could not be completed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for FilesError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Complete(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            Self::Media(_) | Self::NoConnection(_) => false,
        }
    }
}

/// The whole job: deletes the files, then removes them from the list and completes the job in one
/// transaction. Files that are already gone are ignored.
pub async fn delete_files(
    pool: &Pool,
    media: &Media,
    lease: Lease,
    keys: &[String],
) -> Result<(), FilesError> {
    let idle: Vec<String> = {
        let mut conn = pool.get().await?;
        // A file is never given to a second image. So a file without an image stays without one.
        media_files::table
            .filter(media_files::key.eq_any(keys).and(media_files::image_id.is_null()))
            .select(media_files::key)
            .load(&mut conn)
            .await?
    };
    delete_all(media, &idle).await?;
    let written = db::in_transaction(pool, "delete_files", async |conn| {
        queue::complete(conn, lease).await?;
        forget(conn, &idle).await?;
        Ok::<_, FilesError>(())
    });
    written.await.map_err(|error| match error {
        TransactionError::NoConnection(error) => error.into(),
        TransactionError::RolledBack(error) => error,
    })
}

/// Deletes at most this many files that a crash left behind. Returns their number.
pub async fn sweep_files(pool: &Pool, media: &Media, files_max: i64) -> Result<usize, FilesError> {
    let left: Vec<String> = {
        let mut conn = pool.get().await?;
        media_files::table
            .filter(media_files::image_id.is_null())
            .filter(media_files::idle_since.lt(db::time_before(FORGOTTEN_AFTER)))
            .order(media_files::idle_since)
            .limit(files_max)
            .select(media_files::key)
            .load(&mut conn)
            .await?
    };
    delete_all(media, &left).await?;
    let mut conn = pool.get().await?;
    Ok(forget(&mut conn, &left).await?)
}

async fn delete_all(media: &Media, names: &[String]) -> Result<(), MediaError> {
    for key in names.iter().filter_map(|name| FileKey::parse(name)) {
        media.delete(&key).await?;
    }
    Ok(())
}

async fn forget(conn: &mut AsyncPgConnection, names: &[String]) -> QueryResult<usize> {
    conn.transaction(async |conn| {
        let idle: Vec<String> = media_files::table
            .filter(media_files::key.eq_any(names).and(media_files::image_id.is_null()))
            .order(media_files::key)
            .select(media_files::key)
            .for_update()
            .load(conn)
            .await?;
        diesel::delete(media_files::table.filter(media_files::key.eq_any(idle))).execute(conn).await
    })
    .await
}
