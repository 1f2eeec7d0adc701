//! Adds an uploaded image to a product: the file is announced, then written into the store, then shown.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::MEDIA_PATH;
use super::files::{announce_files, give_files};
use super::resize::ResizeImage;
use super::store::FileKey;
use super::write::{WriteImageError, WrittenImage, check_alt, put_in_order, written};
use crate::catalog::insert_product::as_position;
use crate::catalog::limits;
use crate::catalog::lock_product::lock_product;
use crate::error::FieldErrors;
use crate::ids::{ImageId, ProductId};
use crate::queue;
use crate::schema::{product_images, products};
use crate::text::single_line;

/// An image whose file is in the media store.
#[derive(Debug, Clone)]
pub struct AddImage {
    /// Only if the product has this version.
    pub if_version: Option<i32>,
    /// The name of its file in the media store.
    pub file: FileKey,
    /// The width as shown, in pixels.
    pub width: u32,
    /// The height as shown, in pixels.
    pub height: u32,
    /// The alternative text.
    pub alt: String,
    /// The position among the images, from 0. Last if it is `None` or beyond the end.
    pub position: Option<usize>,
}

/// Announces the file of an image that is about to be added, so that the file is never lost track of. It
/// already refuses what [`add_image`] would refuse. Commit it before the file is written.
pub async fn begin_upload(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    image: &AddImage,
) -> Result<(), WriteImageError> {
    check_alt(&image.alt)?;
    conn.transaction(async |conn| {
        let product = products::table.find(product_id).select(products::version);
        let version: Option<i32> = product.first(conn).await.optional()?;
        let current = version.ok_or(WriteImageError::UnknownProduct)?;
        if image.if_version.is_some_and(|expected| expected != current) {
            return Err(WriteImageError::VersionMismatch { current });
        }
        let images = product_images::table.filter(product_images::product_id.eq(product_id));
        let images: i64 = images.count().get_result(conn).await?;
        check_room(usize::try_from(images).unwrap_or(usize::MAX))?;
        Ok(announce_files(conn, std::slice::from_ref(&image.file)).await?)
    })
    .await
}

/// Shows the image and enqueues the job that makes its smaller copies. It locks the product, so that
/// concurrent uploads wait for each other.
pub async fn add_image(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    image: &AddImage,
) -> Result<WrittenImage, WriteImageError> {
    check_alt(&image.alt)?;
    conn.transaction(async |conn| {
        let product = lock_product(conn, product_id, image.if_version).await?;
        check_room(product.images.len())?;
        let id = ImageId::new();
        let last = product.images.len();
        let place = image.position.unwrap_or(last).min(last);
        diesel::insert_into(product_images::table)
            .values((
                product_images::id.eq(id),
                product_images::product_id.eq(product_id),
                product_images::url.eq(format!("{MEDIA_PATH}{}", image.file)),
                product_images::alt.eq(single_line(&image.alt)),
                product_images::position.eq(as_position(place)),
                product_images::storage_key.eq(image.file.to_string()),
                product_images::width.eq(as_pixels(image.width)),
                product_images::height.eq(as_pixels(image.height)),
            ))
            .execute(conn)
            .await?;
        if !give_files(conn, id, std::slice::from_ref(&image.file)).await? {
            return Err(WriteImageError::UploadLapsed);
        }
        let mut order = product.images;
        order.insert(place, image.shown(id, place));
        put_in_order(conn, &order).await?;
        queue::enqueue(conn, &ResizeImage { image_id: id }).await?;
        written(conn, product_id, id).await
    })
    .await
}

impl AddImage {
    fn shown(&self, id: ImageId, place: usize) -> crate::catalog::Image {
        crate::catalog::Image {
            id,
            url: format!("{MEDIA_PATH}{}", self.file),
            alt: single_line(&self.alt),
            position: as_position(place),
            size: Some((self.width, self.height)),
            variants: Vec::new(),
        }
    }
}

fn check_room(images: usize) -> Result<(), WriteImageError> {
    let max = limits::IMAGES_PER_PRODUCT_MAX;
    if images < max {
        return Ok(());
    }
    let mut errors = FieldErrors::default();
    errors.push("", format!("a product can have at most {max} images"));
    Err(WriteImageError::Invalid(errors.into_vec()))
}

fn as_pixels(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}
