//! Why an upload is refused.

use crate::catalog::limits::{IMAGE_FILE_BYTES_MAX, IMAGE_PIXELS_MAX};

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefusal {
    /// The file is empty.
    #[error("is empty")]
    Empty,
    /// The file is too large.
    #[error("has {0} bytes; at most {IMAGE_FILE_BYTES_MAX} are allowed")]
    TooManyBytes(usize),
    /// The file is too large after the image was rotated.
    #[error(
        "has {0} bytes after rotation; at most {IMAGE_FILE_BYTES_MAX} are allowed: rotate it before the upload"
    )]
    TooManyBytesTurned(usize),
    /// The file is not an image of a known format.
    #[error("is not a JPEG, PNG or WebP image")]
    UnknownFormat,
    /// The image has too many pixels.
    #[error("has {width} × {height} pixels; at most {IMAGE_PIXELS_MAX} are allowed")]
    TooManyPixels {
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
    },
    /// The image is animated.
    #[error("is animated; only still images are accepted")]
    Animated,
    /// The file is damaged. The text says where.
    #[error("is damaged or cut short: {0}")]
    Damaged(String),
}
