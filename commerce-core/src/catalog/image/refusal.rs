//! Why an upload is not taken.

use crate::catalog::limits::{IMAGE_FILE_BYTES_MAX, IMAGE_PIXELS_MAX};

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefusal {
    #[error("is empty")]
    Empty,
    #[error("has {0} bytes; at most {IMAGE_FILE_BYTES_MAX} are allowed")]
    TooManyBytes(usize),
    #[error(
        "has {0} bytes once it is turned as it says; at most {IMAGE_FILE_BYTES_MAX} are allowed: turn it before the upload"
    )]
    TooManyBytesTurned(usize),
    #[error("is no JPEG, PNG or WebP picture")]
    UnknownFormat,
    #[error("has {width} × {height} pixels; at most {IMAGE_PIXELS_MAX} are allowed")]
    TooManyPixels { width: u32, height: u32 },
    #[error("is animated; only pictures that stand still are taken")]
    Animated,
    #[error("is damaged or cut short: {0}")]
    Damaged(String),
}
