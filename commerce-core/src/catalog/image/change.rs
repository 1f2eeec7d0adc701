//! Changes and removes images of a product, both uploaded and linked.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::files::release_files;
use super::write::{WriteImageError, WrittenImage, check_alt, put_in_order, written};
use crate::catalog::lock_product::{finish_write, lock_product};
use crate::ids::{ImageId, ProductId};
use crate::schema::product_images;
use crate::text::single_line;

/// The changes to an image. `None` keeps the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePatch {
    /// The new alternative text.
    pub alt: Option<String>,
    /// The new position among the images, from 0. A position beyond the end means last.
    pub position: Option<usize>,
}

/// Changes an image and returns it. With `if_version` only if the product has this version.
pub async fn update_image(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    image_id: ImageId,
    if_version: Option<i32>,
    patch: &ImagePatch,
) -> Result<WrittenImage, WriteImageError> {
    if let Some(alt) = &patch.alt {
        check_alt(alt)?;
    }
    conn.transaction(async |conn| {
        let mut images = lock_product(conn, product_id, if_version).await?.images;
        let before = images.iter().position(|image| image.id == image_id);
        let before = before.ok_or(WriteImageError::UnknownImage)?;
        if let Some(place) = patch.position {
            let image = images.remove(before);
            images.insert(place.min(images.len()), image);
            put_in_order(conn, &images).await?;
        }
        if let Some(alt) = &patch.alt {
            diesel::update(product_images::table.find(image_id))
                .set(product_images::alt.eq(single_line(alt)))
                .execute(conn)
                .await?;
        }
        written(conn, product_id, image_id).await
    })
    .await
}

/// Removes an image. A job deletes its files.
pub async fn remove_image(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    image_id: ImageId,
    if_version: Option<i32>,
) -> Result<(), WriteImageError> {
    conn.transaction(async |conn| {
        let mut images = lock_product(conn, product_id, if_version).await?.images;
        let place = images.iter().position(|image| image.id == image_id);
        images.remove(place.ok_or(WriteImageError::UnknownImage)?);
        release_files(conn, &[image_id]).await?;
        diesel::delete(product_images::table.find(image_id)).execute(conn).await?;
        put_in_order(conn, &images).await?;
        finish_write(conn, product_id).await?;
        Ok(())
    })
    .await
}
