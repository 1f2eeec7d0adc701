//! Checks whether an upload is an image that the shop accepts. The content decides, never the name or the
//! declared type.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, ImageResult, Limits};

use super::refusal::ImageRefusal;
use super::store::{Format, Media};
use super::strip::strip;
use crate::catalog::limits::{IMAGE_FILE_BYTES_MAX, IMAGE_PIXELS_MAX};

/// The quality of a rotated image that is encoded again. No loss may be visible, because all copies are made
/// from this image.
const TURNED_JPEG_QUALITY: u8 = 92;

/// The largest size of a decoded image in bytes. Images with 16 bits per channel reach it sooner.
const DECODED_BYTES_MAX: u64 = 160 * 1024 * 1024;

/// An image that can be stored and shown.
#[derive(Debug, Clone)]
pub struct CheckedImage {
    /// The format in which the image is stored.
    pub format: Format,
    /// The file without the camera's metadata, such as the location.
    pub bytes: Bytes,
    /// The width as shown, in pixels.
    pub width: u32,
    /// The height as shown, in pixels.
    pub height: u32,
}

impl Media {
    /// Checks an upload and removes what is not part of the image. A few uploads are checked at a time, and
    /// others wait.
    pub async fn check(&self, file: Bytes) -> Result<CheckedImage, ImageRefusal> {
        self.decoding(move || check(file)).await.unwrap_or_else(|panic| Err(ImageRefusal::Damaged(panic)))
    }

    /// Does heavy work on another thread. It fails only if the work panics, with the text of the panic.
    pub(super) async fn decoding<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        // The permit lives as long as the work, even if nobody waits for it any more.
        let permit = self.decoders.clone().acquire_owned().await.map_err(|closed| closed.to_string())?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|panic| panic.to_string())
    }
}

fn check(file: Bytes) -> Result<CheckedImage, ImageRefusal> {
    if file.is_empty() {
        return Err(ImageRefusal::Empty);
    }
    if file.len() > IMAGE_FILE_BYTES_MAX {
        return Err(ImageRefusal::TooManyBytes(file.len()));
    }
    let format = format_of(&file).ok_or(ImageRefusal::UnknownFormat)?;
    let turned = open(&file, format)?.orientation().unwrap_or(Orientation::NoTransforms);
    let stripped = strip(&file, format, turned)?;
    drop(file);
    let decoded = decode(&stripped, format)?;
    if turned == Orientation::NoTransforms || format == Format::Jpeg {
        let (width, height) = decoded.shown_size();
        return Ok(CheckedImage { format, bytes: stripped.into(), width, height });
    }
    // Only JPEG has metadata for the rotation that every program respects. Other formats are rotated here.
    let mut picture = decoded.picture;
    picture.apply_orientation(turned);
    let (width, height) = (picture.width(), picture.height());
    // A photograph from a WebP would be several times as large as a PNG.
    let as_jpeg = format == Format::WebP && !picture.color().has_alpha();
    let mut bytes = Cursor::new(Vec::new());
    let format = if as_jpeg {
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, TURNED_JPEG_QUALITY);
        keep_colours(&mut encoder, decoded.icc_profile).map_err(damaged)?;
        picture.write_with_encoder(encoder).map_err(damaged)?;
        Format::Jpeg
    } else {
        let mut encoder = PngEncoder::new(&mut bytes);
        keep_colours(&mut encoder, decoded.icc_profile).map_err(damaged)?;
        picture.write_with_encoder(encoder).map_err(damaged)?;
        Format::Png
    };
    Ok(CheckedImage { format, bytes: of_turned(bytes.into_inner())?, width, height })
}

/// An image that was encoded again may have become too large.
fn of_turned(bytes: Vec<u8>) -> Result<Bytes, ImageRefusal> {
    if bytes.len() > IMAGE_FILE_BYTES_MAX {
        return Err(ImageRefusal::TooManyBytesTurned(bytes.len()));
    }
    Ok(bytes.into())
}

/// The format according to the first bytes.
pub(super) fn format_of(file: &[u8]) -> Option<Format> {
    match image::guess_format(file).ok()? {
        ImageFormat::Jpeg => Some(Format::Jpeg),
        ImageFormat::Png => Some(Format::Png),
        ImageFormat::WebP => Some(Format::WebP),
        _ => None,
    }
}

/// A decoded image.
pub(super) struct Decoded {
    pub picture: DynamicImage,
    /// How the image must be rotated before it is shown.
    pub orientation: Orientation,
    /// The colour profile, if there is one.
    pub icc_profile: Option<Vec<u8>>,
}

impl Decoded {
    pub fn shown_size(&self) -> (u32, u32) {
        let (width, height) = (self.picture.width(), self.picture.height());
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (height, width),
            _ => (width, height),
        }
    }
}

/// Reads the header, and refuses an image that would not fit into memory.
fn open(file: &[u8], format: Format) -> Result<impl ImageDecoder + '_, ImageRefusal> {
    let format = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
    };
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let too_many = u64::from(width) * u64::from(height) > IMAGE_PIXELS_MAX;
    if too_many || decoder.total_bytes() > DECODED_BYTES_MAX {
        return Err(ImageRefusal::TooManyPixels { width, height });
    }
    Ok(decoder)
}

/// Decodes the whole image.
pub(super) fn decode(file: &[u8], format: Format) -> Result<Decoded, ImageRefusal> {
    let mut decoder = open(file, format)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let icc_profile = decoder.icc_profile().ok().flatten();
    let picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    Ok(Decoded { picture, orientation, icc_profile })
}

/// Writes the colour profile of the original into a file.
pub(super) fn keep_colours(encoder: &mut impl ImageEncoder, icc_profile: Option<Vec<u8>>) -> ImageResult<()> {
    match icc_profile {
        Some(profile) => encoder.set_icc_profile(profile).map_err(image::ImageError::Unsupported),
        None => Ok(()),
    }
}

fn damaged(error: image::ImageError) -> ImageRefusal {
    ImageRefusal::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_once_it_is_turned_is_refused() {
        assert_eq!(
            of_turned(vec![7; IMAGE_FILE_BYTES_MAX]).map(|bytes| bytes.len()),
            Ok(IMAGE_FILE_BYTES_MAX)
        );
        let refused = of_turned(vec![7; IMAGE_FILE_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(refused, ImageRefusal::TooManyBytesTurned(IMAGE_FILE_BYTES_MAX + 1));
        assert!(refused.to_string().contains("rotate it before the upload"), "{refused}");
    }
}
