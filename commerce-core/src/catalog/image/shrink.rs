//! Smaller copies of an image: JPEG if it is opaque, PNG if it has transparency. (The crate writes lossless
//! WebP only, which makes a photograph larger than a JPEG.)

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageEncoder, ImageResult};

use super::check::{Decoded, decode, format_of, keep_colours};
use super::refusal::ImageRefusal;
use super::store::{Format, Media};

/// The widths of the copies in pixels. Copies that would not be smaller than the image are left out.
pub const WIDTHS: [u32; 3] = [160, 480, 960];

/// A higher quality makes the file larger, but no difference is visible.
const JPEG_QUALITY: u8 = 82;

/// A smaller copy.
pub(super) struct SmallerCopy {
    pub format: Format,
    pub bytes: Bytes,
    pub width: u32,
    pub height: u32,
}

impl Media {
    /// Makes the smaller copies of a stored image, smallest first.
    pub(super) async fn shrink(&self, file: Bytes) -> Result<Vec<SmallerCopy>, ImageRefusal> {
        self.decoding(move || shrink(&file)).await.unwrap_or_else(|panic| Err(ImageRefusal::Damaged(panic)))
    }
}

fn shrink(file: &[u8]) -> Result<Vec<SmallerCopy>, ImageRefusal> {
    let format = format_of(file).ok_or(ImageRefusal::UnknownFormat)?;
    let decoded = decode(file, format)?;
    let (shown_width, shown_height) = decoded.shown_size();
    let Decoded { mut picture, orientation, icc_profile } = decoded;
    // Decoding converts CMYK and grey images to RGB, so their profiles no longer fit.
    let icc_profile = icc_profile.filter(|profile| profile.get(16..20) == Some(b"RGB "));
    let mut turned = false;
    let mut copies = Vec::new();
    for width in WIDTHS.into_iter().rev().filter(|width| *width < shown_width) {
        let height = scaled(shown_height, width, shown_width);
        // The image is rotated after scaling, which costs next to nothing. Each copy is made from the one
        // before.
        let swapped = !turned && (shown_width, shown_height) != (picture.width(), picture.height());
        let (to_width, to_height) = if swapped { (height, width) } else { (width, height) };
        picture = picture.resize_exact(to_width, to_height, FilterType::CatmullRom);
        if !turned {
            picture.apply_orientation(orientation);
            turned = true;
        }
        copies.push(encode(&picture, icc_profile.clone()).map_err(|e| ImageRefusal::Damaged(e.to_string()))?);
    }
    copies.reverse();
    Ok(copies)
}

fn scaled(height: u32, width: u32, of_width: u32) -> u32 {
    let rounded =
        (u64::from(height) * u64::from(width) + u64::from(of_width) / 2) / u64::from(of_width.max(1));
    u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
}

fn encode(picture: &DynamicImage, icc_profile: Option<Vec<u8>>) -> ImageResult<SmallerCopy> {
    let (width, height) = (picture.width(), picture.height());
    let mut bytes = Cursor::new(Vec::new());
    let is_transparent =
        picture.color().has_alpha() && picture.to_rgba8().pixels().any(|pixel| pixel.0.last() != Some(&255));
    let format = if is_transparent {
        let mut encoder = PngEncoder::new(&mut bytes);
        keep_colours(&mut encoder, icc_profile)?;
        encoder.write_image(picture.to_rgba8().as_raw(), width, height, image::ExtendedColorType::Rgba8)?;
        Format::Png
    } else {
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        // A profile for grey images does not fit an RGB image.
        if !picture.color().has_color() {
            encoder.write_image(picture.to_luma8().as_raw(), width, height, image::ExtendedColorType::L8)?;
        } else {
            keep_colours(&mut encoder, icc_profile)?;
            encoder.write_image(picture.to_rgb8().as_raw(), width, height, image::ExtendedColorType::Rgb8)?;
        }
        Format::Jpeg
    };
    Ok(SmallerCopy { format, bytes: bytes.into_inner().into(), width, height })
}
