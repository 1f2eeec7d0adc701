//! The common parts of adding, changing and removing an image.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::catalog::insert_product::as_position;
use crate::catalog::limits;
use crate::catalog::lock_product::finish_write;
use crate::catalog::product::Image;
use crate::catalog::refusal::UpdateProductError;
use crate::db::Retryable;
use crate::error::{FieldError, FieldErrors};
use crate::ids::{ImageId, ProductId};
use crate::schema::product_images;
use crate::text::single_line;

/// An image, and its product's version.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenImage {
    /// The image as it is now.
    pub image: Image,
    /// The version of its product after the write.
    pub product_version: i32,
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteImageError {
    /// There is no such product.
    #[error("there is no such product")]
    UnknownProduct,
    /// The product has no such image.
    #[error("the product has no such image")]
    UnknownImage,
    /// Somebody else changed the product in the meantime.
    #[error("the product was changed in the meantime and is now at version {current}")]
    VersionMismatch {
        /// The present version.
        current: i32,
    },
    /// Values are invalid. Each error has its place.
    #[error("{} value(s) of the image are invalid", .0.len())]
    Invalid(Vec<FieldError>),
    /// The upload took so long that the file may be deleted at any moment.
    #[error("the upload took too long")]
    UploadLapsed,
    /// The database failed.
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
            // Writing images cannot cause these errors.
            other @ (UpdateProductError::UnknownVariant(_) | UpdateProductError::Refused(_)) => {
                Self::Database(QueryError::QueryBuilderError(other.into()))
            }
        }
    }
}

/// Checks the alternative text.
pub(super) fn check_alt(alt: &str) -> Result<(), WriteImageError> {
    let mut errors = FieldErrors::default();
    errors.check_text("/alt", &single_line(alt), 0..=limits::IMAGE_ALT_CHARS_MAX);
    if errors.is_empty() { Ok(()) } else { Err(WriteImageError::Invalid(errors.into_vec())) }
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

/// Ends a write: increments the product's version and reads the image.
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
