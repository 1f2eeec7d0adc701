//! The list of files that are in the media store, or may be.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::store::{FileKey, Media, MediaError};
use crate::db::{self, Pool, PoolError, Retryable, TransactionError};
use crate::ids::ImageId;
use crate::jobs::{self, CompleteError, Lease, kinds::DeleteFiles};
use crate::schema::{media_files, product_images};

/// A file can be given to an image for this long after its row was written. It is much less than [`FORGOTTEN_AFTER`], so that
/// no file is deleted that an image has.
const GIVEN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// A file that has belonged to no image for this long is left over from a crash.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why files were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    #[error(transparent)]
    Complete(#[from] CompleteError),
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

/// Announces files that are about to be written. To be committed before they are.
pub(super) async fn announce_files(conn: &mut AsyncPgConnection, keys: &[FileKey]) -> QueryResult<()> {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| (media_files::key.eq(key.to_string()), media_files::idle_since.eq(db::clock())))
        .collect();
    diesel::insert_into(media_files::table).values(rows).execute(conn).await?;
    Ok(())
}

/// Gives announced files to an image. False, and nothing is given, if one was announced too long ago.
pub(super) async fn give_files(
    conn: &mut AsyncPgConnection,
    image_id: ImageId,
    keys: &[FileKey],
) -> QueryResult<bool> {
    let names: Vec<String> = keys.iter().map(FileKey::to_string).collect();
    let young: Vec<String> = media_files::table
        .filter(media_files::key.eq_any(&names))
        .filter(media_files::image_id.is_null())
        .filter(media_files::idle_since.gt(db::time_before(GIVEN_WITHIN)))
        .select(media_files::key)
        .for_update()
        .load(conn)
        .await?;
    if young.len() < names.len() {
        return Ok(false);
    }
    diesel::update(media_files::table.filter(media_files::key.eq_any(&names)))
        .set(media_files::image_id.eq(image_id))
        .execute(conn)
        .await?;
    Ok(true)
}

/// Takes the files from images that are about to be removed, and has a job delete them. Locks the images, so that copies that
/// are being given to them go too.
pub(in crate::catalog) async fn release_files(
    conn: &mut AsyncPgConnection,
    images: &[ImageId],
) -> QueryResult<()> {
    let locked = product_images::table.filter(product_images::id.eq_any(images)).order(product_images::id);
    locked.select(product_images::id).for_update().load::<ImageId>(conn).await?;
    let keys: Vec<String> = diesel::update(media_files::table.filter(media_files::image_id.eq_any(images)))
        .set((media_files::image_id.eq(None::<ImageId>), media_files::idle_since.eq(db::clock())))
        .returning(media_files::key)
        .get_results(conn)
        .await?;
    if !keys.is_empty() {
        jobs::enqueue(conn, &DeleteFiles { keys }).await?;
    }
    Ok(())
}

/// The whole job: deletes files, then forgets them and completes the job together. Files that are gone already are no matter.
pub async fn delete_files(
    pool: &Pool,
    media: &Media,
    lease: Lease,
    keys: &[String],
) -> Result<(), FilesError> {
    let idle: Vec<String> = {
        let mut conn = pool.get().await?;
        // No file is ever given to a second image, so one that belongs to none stays that way.
        media_files::table
            .filter(media_files::key.eq_any(keys).and(media_files::image_id.is_null()))
            .select(media_files::key)
            .load(&mut conn)
            .await?
    };
    delete_all(media, &idle).await?;
    let written = db::in_transaction(pool, "delete_files", async |conn| {
        jobs::complete(conn, lease).await?;
        forget(conn, &idle).await?;
        Ok::<_, FilesError>(())
    });
    written.await.map_err(|error| match error {
        TransactionError::NoConnection(error) => error.into(),
        TransactionError::RolledBack(error) => error,
    })
}

/// Deletes up to so many files that a crash left behind, and returns how many.
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
    let forgotten = media_files::table.filter(media_files::key.eq_any(names));
    diesel::delete(forgotten.filter(media_files::image_id.is_null())).execute(conn).await
}
