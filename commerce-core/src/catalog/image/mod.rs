//! Uploaded images: which are accepted, where they are stored, and how they belong to their product.
//!
//! A file is written before the row that shows it, and deleted after it. `media_files` lists every file that
//! was or may have been written. Its row is committed first ([`begin_upload`]), so that files that a crash
//! left behind are found and deleted ([`sweep_files`]). The file behind a name never changes.

mod add;
mod change;
mod check;
mod delete_files;
mod files;
mod refusal;
mod resize;
mod shrink;
mod store;
mod strip;
mod write;

pub use add::{AddImage, add_image, begin_upload};
pub use change::{ImagePatch, remove_image, update_image};
pub use check::CheckedImage;
pub use delete_files::{DeleteFiles, FilesError, delete_files, sweep_files};
pub(super) use files::release_files;
pub use refusal::ImageRefusal;
pub use resize::{ResizeImage, ResizeImageError, resize_image};
pub use shrink::WIDTHS;
pub use store::{FileKey, Format, Media, MediaError, MediaSettingError};
pub use write::{WriteImageError, WrittenImage};

/// The path of the files. The URL of an image is this path and the name of its file.
pub const MEDIA_PATH: &str = "/media/";
