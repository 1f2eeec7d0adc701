//! One plain struct per kind of job. The `KIND` strings are stored: they are never renamed in place.

use serde::{Deserialize, Serialize};

use super::Job;
use crate::ids::{CategoryId, EmailId, ImageId, ProductId, RefundId};

/// Every kind there is.
pub const ALL: &[&str] =
    &[SendEmail::KIND, RefundPayment::KIND, ResizeImage::KIND, DeleteFiles::KIND, IndexProducts::KIND];

/// Renders and sends one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEmail {
    pub email_id: EmailId,
}

impl Job for SendEmail {
    const KIND: &'static str = "send_email";
    const ATTEMPTS_MAX: i32 = 12;
}

/// Asks the provider to give money back, and writes what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPayment {
    pub refund_id: RefundId,
}

impl Job for RefundPayment {
    const KIND: &'static str = "refund_payment";
    const ATTEMPTS_MAX: i32 = 20;
}

/// Makes the smaller copies of an uploaded image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeImage {
    pub image_id: ImageId,
}

impl Job for ResizeImage {
    const KIND: &'static str = "resize_image";
    const ATTEMPTS_MAX: i32 = 12;
}

/// Deletes files of images that are gone from the media store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteFiles {
    /// Names of the files.
    pub keys: Vec<String>,
}

impl Job for DeleteFiles {
    const KIND: &'static str = "delete_files";
    const ATTEMPTS_MAX: i32 = 12;
}

/// Brings what is searched up to date. Triggers enqueue it (see the migration `search`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexProducts {
    /// Their search rows could not be written with the change: another was writing them, or there were too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_ids: Vec<ProductId>,
    /// It has a new title, which its products are found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<CategoryId>,
    /// It stands elsewhere in the tree, with all that is in it and below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_category_id: Option<CategoryId>,
}

impl Job for IndexProducts {
    const KIND: &'static str = "index_products";
    const ATTEMPTS_MAX: i32 = 20;
}
