//! Changes and removes images of a product, uploaded or linked.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::add::check_alt;
use super::files::release_files;
use crate::catalog::insert_product::as_position;
use crate::catalog::product::Image;
use crate::catalog::refusal::UpdateProductError;
use crate::catalog::update_product::{finish_write, lock_product};
use crate::db::Retryable;
use crate::error::FieldError;
use crate::ids::{ImageId, ProductId};
use crate::schema::product_images;

/// What to change in an image; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePatch {
    pub alt: Option<String>,
    /// Its new place among the images, from 0; last if there are fewer.
    pub position: Option<usize>,
}

/// An image, and its product's version.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenImage {
    pub image: Image,
    pub product_version: i32,
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteImageError {
    #[error("there is no such product")]
    UnknownProduct,
    #[error("the product has no such image")]
    UnknownImage,
    /// Someone else wrote in between.
    #[error("the product is at version {current} by now")]
    VersionMismatch { current: i32 },
    #[error("{} value(s) of the image are invalid", .0.len())]
    Invalid(Vec<FieldError>),
    /// Its file may be deleted at any moment.
    #[error("the upload took too long")]
    UploadLapsed,
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for WriteImageError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<UpdateProductError> for WriteImageError {
    fn from(error: UpdateProductError) -> Self {
        match error {
            UpdateProductError::UnknownProduct => Self::UnknownProduct,
            UpdateProductError::VersionMismatch { current } => Self::VersionMismatch { current },
            UpdateProductError::Database(error) => Self::Database(error),
            // Nothing here touches what these are about.
            other @ (UpdateProductError::UnknownVariant(_) | UpdateProductError::Refused(_)) => {
                Self::Database(QueryError::QueryBuilderError(other.into()))
            }
        }
    }
}

/// Changes an image and returns it. `if_version`: only while the product is at this version.
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
                .set(product_images::alt.eq(alt.trim()))
                .execute(conn)
                .await?;
        }
        written(conn, product_id, image_id).await
    })
    .await
}

/// Removes an image; a job deletes its files.
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

/// Numbers the images of a locked product in this order.
pub(super) async fn put_in_order(conn: &mut AsyncPgConnection, images: &[Image]) -> QueryResult<()> {
    for (place, image) in images.iter().enumerate() {
        if image.position != as_position(place) {
            diesel::update(product_images::table.find(image.id))
                .set(product_images::position.eq(as_position(place)))
                .execute(conn)
                .await?;
        }
    }
    Ok(())
}

/// Ends a write: counts the product's version up and reads the image.
pub(super) async fn written(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    image_id: ImageId,
) -> Result<WrittenImage, WriteImageError> {
    let product = finish_write(conn, product_id).await?;
    let image = product.images.into_iter().find(|image| image.id == image_id);
    let image = image.ok_or(WriteImageError::UnknownImage)?;
    Ok(WrittenImage { image, product_version: product.version })
}
