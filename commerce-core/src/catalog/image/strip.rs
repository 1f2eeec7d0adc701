//! Removes everything from a file that is not part of the image, without changing the image: the camera's
//! metadata (which may tell where somebody lives), thumbnails of what was cropped away, texts, and data after
//! the end. A damaged file is refused.

use image::metadata::Orientation;

use super::refusal::ImageRefusal;
use super::store::Format;

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged(pub &'static str);

impl From<Damaged> for ImageRefusal {
    fn from(Damaged(what): Damaged) -> Self {
        Self::Damaged(what.to_owned())
    }
}

const CUT_SHORT: Damaged = Damaged("it is cut short");

/// The file with only the image, its colours and, in a JPEG, its rotation.
pub(super) fn strip(file: &[u8], format: Format, turned: Orientation) -> Result<Vec<u8>, ImageRefusal> {
    match format {
        Format::Jpeg => Ok(strip_jpeg(file, turned)?),
        Format::Png => strip_png(file),
        Format::WebP => strip_webp(file),
    }
}

/// Takes bytes from the front of a slice.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Damaged> {
    let (taken, left) = rest.split_at_checked(count).ok_or(CUT_SHORT)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damaged> {
    take(rest, N)?.try_into().map_err(|_| CUT_SHORT)
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, Damaged> {
    let [byte] = take_array(rest)?;
    Ok(byte)
}

/// A progressive JPEG has about ten scans. Each scan goes over the whole image, so thousands of empty ones
/// would keep a decoder busy for hours.
const SCANS_MAX: usize = 100;

/// Markers and segments of ITU T.81, B.1.1.
fn strip_jpeg(file: &[u8], turned: Orientation) -> Result<Vec<u8>, Damaged> {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut rest = file;
    let mut kept = Vec::with_capacity(file.len());
    kept.extend(take(&mut rest, 2)?);
    let (mut is_first, mut scans) = (true, 0);
    loop {
        let marker = next_marker(&mut rest)?;
        // The metadata comes first, or after the one segment that must be first.
        if is_first && marker != 0xe0 {
            kept.extend(turning_notes(turned));
            is_first = false;
        }
        if marker == END {
            kept.extend([0xff, END]);
            return Ok(kept);
        }
        // TEM and restart markers have no segment.
        if marker == 0x01 || (0xd0..=0xd8).contains(&marker) {
            kept.extend([0xff, marker]);
            continue;
        }
        let length = take_array(&mut rest)?;
        let body = usize::from(u16::from_be_bytes(length)).checked_sub(2);
        let body = take(&mut rest, body.ok_or(Damaged("a segment has no length"))?)?;
        if is_kept(marker, body) {
            kept.extend([0xff, marker]);
            kept.extend(length);
            kept.extend(body);
        }
        if marker == SCAN {
            scans += 1;
            if scans > SCANS_MAX {
                return Err(Damaged("it has too many scans"));
            }
            let length = scan_length(rest);
            kept.extend(take(&mut rest, length)?);
        }
    }
}

/// Whether a segment belongs to the image: JFIF, colour profiles and Adobe's colour transform.
fn is_kept(marker: u8, body: &[u8]) -> bool {
    match marker {
        0xe0 => body.starts_with(b"JFIF\0"),
        0xe2 => body.starts_with(b"ICC_PROFILE\0"),
        0xee => body.starts_with(b"Adobe"),
        0xe1..=0xef | 0xfe => false,
        _ => true,
    }
}

fn next_marker(rest: &mut &[u8]) -> Result<u8, Damaged> {
    if take_byte(rest)? != 0xff {
        return Err(Damaged("there are bytes between its segments"));
    }
    loop {
        match take_byte(rest)? {
            0xff => {}
            0 => return Err(Damaged("a segment has no kind")),
            marker => return Ok(marker),
        }
    }
}

/// The number of bytes of image data up to the next marker. Restart markers belong to the data.
fn scan_length(rest: &[u8]) -> usize {
    let is_end = |pair: &[u8]| matches!(pair, [0xff, marker] if *marker != 0 && *marker != 0xff && !(0xd0..=0xd7).contains(marker));
    rest.windows(2).position(is_end).unwrap_or(rest.len())
}

/// Exif metadata that contains the rotation and nothing else. Empty if the image is not rotated.
fn turning_notes(turned: Orientation) -> Vec<u8> {
    if turned == Orientation::NoTransforms {
        return Vec::new();
    }
    let mut notes = vec![0xff, 0xe1, 0, 34];
    notes.extend(b"Exif\0\0MM\0*");
    // One directory at 8 with one entry: Orientation (0x0112), a SHORT, once. No directory follows.
    notes.extend([0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, turned.to_exif(), 0, 0, 0, 0, 0, 0]);
    notes
}

/// The PNG chunks that belong to the image.
const PNG_KEPT: [&[u8; 4]; 13] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs",
    b"bKGD", b"cICP",
];

fn strip_png(file: &[u8]) -> Result<Vec<u8>, ImageRefusal> {
    let mut rest = file;
    let mut kept = Vec::with_capacity(file.len());
    kept.extend(take(&mut rest, 8)?);
    loop {
        let length = take_array(&mut rest)?;
        let kind: [u8; 4] = take_array(&mut rest)?;
        let body_and_sum = take(&mut rest, as_length(u32::from_be_bytes(length))?.saturating_add(4))?;
        if &kind == b"acTL" {
            return Err(ImageRefusal::Animated);
        }
        if PNG_KEPT.contains(&&kind) {
            kept.extend(length);
            kept.extend(kind);
            kept.extend(body_and_sum);
        } else if kind.first().is_some_and(u8::is_ascii_uppercase) {
            return Err(Damaged("it has an unknown part").into());
        }
        if &kind == b"IEND" {
            return Ok(kept);
        }
    }
}

fn strip_webp(file: &[u8]) -> Result<Vec<u8>, ImageRefusal> {
    const HAS_EXIF: u8 = 0x08;
    const HAS_XMP: u8 = 0x04;
    let mut rest = file;
    take(&mut rest, 4)?;
    let size = as_length(u32::from_le_bytes(take_array(&mut rest)?))?;
    let mut rest = take(&mut rest, size)?;
    let mut kept = take(&mut rest, 4)?.to_vec();
    while !rest.is_empty() {
        let kind: [u8; 4] = take_array(&mut rest)?;
        let length = take_array(&mut rest)?;
        let size = as_length(u32::from_le_bytes(length))?;
        let body = take(&mut rest, size)?;
        if size % 2 == 1 && !rest.is_empty() {
            take(&mut rest, 1)?;
        }
        let mut body = body.to_vec();
        match &kind {
            b"ANIM" | b"ANMF" => return Err(ImageRefusal::Animated),
            b"VP8X" => {
                if let Some(flags) = body.first_mut() {
                    *flags &= !(HAS_EXIF | HAS_XMP);
                }
            }
            b"VP8 " | b"VP8L" | b"ALPH" | b"ICCP" => {}
            _ => continue,
        }
        kept.extend(kind);
        kept.extend(length);
        kept.extend(body);
        if size % 2 == 1 {
            kept.push(0);
        }
    }
    let size = u32::try_from(kept.len()).map_err(|_| CUT_SHORT)?;
    Ok([b"RIFF".as_slice(), &size.to_le_bytes(), &kept].concat())
}

fn as_length(length: u32) -> Result<usize, Damaged> {
    usize::try_from(length).map_err(|_| CUT_SHORT)
}
