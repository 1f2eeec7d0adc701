//! The list of files that are, or may be, in the media store.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::delete_files::DeleteFiles;
use super::store::FileKey;
use crate::db;
use crate::ids::ImageId;
use crate::queue;
use crate::schema::{media_files, product_images};

/// How long after its announcement a file can be given to an image. This is much shorter than
/// `FORGOTTEN_AFTER` in `delete_files.rs`, so that the file of an image is never deleted.
const GIVEN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Announces files that are about to be written. Commit the announcement before writing them.
pub(super) async fn announce_files(conn: &mut AsyncPgConnection, keys: &[FileKey]) -> QueryResult<()> {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| (media_files::key.eq(key.to_string()), media_files::idle_since.eq(db::clock())))
        .collect();
    diesel::insert_into(media_files::table).values(rows).execute(conn).await?;
    Ok(())
}

/// Gives announced files to an image. Returns `false`, and gives nothing, if one of them was announced too
/// long ago.
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
        .order(media_files::key)
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

/// Takes the files from images that are about to be removed, and enqueues a job to delete them. It locks the
/// images, so that copies that are being added are deleted too.
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
        queue::enqueue(conn, &DeleteFiles { keys }).await?;
    }
    Ok(())
}
