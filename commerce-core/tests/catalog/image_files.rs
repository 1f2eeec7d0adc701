//! Uploaded pictures: which files are taken, and what is kept of them.

use std::io::Cursor;

use ::image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};
use bytes::Bytes;
use commerce_core::catalog::image::{Format, ImageRefusal};
use commerce_core::catalog::limits;

use super::images::{encoded, media, picture};

async fn refusal(file: impl Into<Bytes>) -> ImageRefusal {
    media().check(file.into()).await.expect_err("this should be refused")
}

/// A chunk of a PNG with its checksum.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let summed = [kind.as_slice(), body].concat();
    let mut sum = u32::MAX;
    for byte in &summed {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), summed.as_slice(), &(!sum).to_be_bytes()].concat()
}

/// A PNG that says that it is this large, with next to nothing in it.
fn boastful_png(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes(), &height.to_be_bytes(), [8, 2, 0, 0, 0].as_slice()].concat();
    let no_data = [0x78, 0x9c, 0x03, 0, 0, 0, 0, 1];
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(b"IHDR", &header),
        &chunk(b"IDAT", &no_data),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

/// Puts a chunk behind the header of a PNG.
fn with_chunk(png: &[u8], chunk: &[u8]) -> Vec<u8> {
    [&png[..33], chunk, &png[33..]].concat()
}

/// Puts a segment behind the start of a JPEG.
fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, body, &jpeg[2..]].concat()
}

/// What a camera writes: turned to the right, and where it was taken.
fn exif() -> Vec<u8> {
    let mut notes = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    notes.extend(b"GPS 52.5163 N 13.3777 E");
    notes
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn what_is_no_picture_is_refused() {
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for file in
        [svg.as_bytes(), b"\x7fELF\x02\x01\x01", b"MZ\x90\0\x03", b"GIF89a\x01\0\x01\0", b"BM", b"x", b"\0"]
    {
        assert_eq!(refusal(file.to_vec()).await, ImageRefusal::UnknownFormat);
    }
    assert_eq!(refusal(Vec::new()).await, ImageRefusal::Empty);
    let large = vec![0xff; limits::IMAGE_FILE_BYTES_MAX + 1];
    assert_eq!(refusal(large).await, ImageRefusal::TooManyBytes(limits::IMAGE_FILE_BYTES_MAX + 1));
    for (width, height) in [(50_000, 50_000), (25_000_001, 1), (u32::MAX >> 1, 2)] {
        let refused = refusal(boastful_png(width, height)).await;
        assert!(
            matches!(refused, ImageRefusal::TooManyPixels { .. } | ImageRefusal::Damaged(_)),
            "{refused:?}"
        );
    }
    assert_eq!(
        refusal(boastful_png(50_000, 50_000)).await,
        ImageRefusal::TooManyPixels { width: 50_000, height: 50_000 }
    );
    // Small enough to be decoded, but there is nothing to decode.
    assert!(matches!(refusal(boastful_png(100, 100)).await, ImageRefusal::Damaged(_)));
}

#[tokio::test]
async fn what_is_cut_short_is_refused_wherever_it_ends() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let whole = encoded(&picture(64, 48), format);
        assert!(media().check(whole.clone().into()).await.is_ok());
        for length in [12, 20, 40, whole.len() / 3, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
            let refused = refusal(whole[..length].to_vec()).await;
            assert!(
                matches!(refused, ImageRefusal::Damaged(_) | ImageRefusal::UnknownFormat),
                "{format:?} {length} {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_jpeg_that_would_be_decoded_for_hours_is_refused() {
    let jpeg = encoded(&picture(16, 16), ImageFormat::Jpeg);
    let scan = jpeg.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let end = jpeg.len() - 2;
    let many = [&jpeg[..scan], &jpeg[scan..end].repeat(101), &jpeg[end..]].concat();
    assert_eq!(refusal(many).await, ImageRefusal::Damaged("it has too many scans".to_owned()));
}

#[tokio::test]
async fn what_moves_is_refused() {
    let still = encoded(&picture(8, 8), ImageFormat::Png);
    let moving = with_chunk(&still, &chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]));
    assert_eq!(refusal(moving).await, ImageRefusal::Animated);
    let mut body = b"WEBPVP8X\x0a\0\0\0\x02\0\0\0\x07\0\0\x07\0\0ANIM\x06\0\0\0\0\0\0\0\0\0".to_vec();
    let mut webp = b"RIFF".to_vec();
    webp.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    webp.append(&mut body);
    assert!(matches!(refusal(webp).await, ImageRefusal::Animated | ImageRefusal::Damaged(_)));
}

#[tokio::test]
async fn only_the_picture_is_kept_of_a_file() {
    let jpeg = encoded(&picture(40, 20), ImageFormat::Jpeg);
    let noted = with_segment(&with_segment(&jpeg, 0xfe, b"a secret"), 0xe1, &exif());
    let tailed = [noted.as_slice(), b"PK\x03\x04 an archive"].concat();
    let kept = media().check(tailed.into()).await.unwrap();
    assert!(
        !contains(&kept.bytes, b"GPS") && !contains(&kept.bytes, b"secret") && !contains(&kept.bytes, b"PK")
    );
    assert_eq!((kept.width, kept.height), (20, 40), "as it is shown: turned");
    let mut decoder = ::image::ImageReader::with_format(Cursor::new(&kept.bytes), ImageFormat::Jpeg)
        .into_decoder()
        .unwrap();
    assert_eq!(::image::ImageDecoder::orientation(&mut decoder).unwrap().to_exif(), 6);

    let png = encoded(&picture(40, 20), ImageFormat::Png);
    let noted =
        with_chunk(&with_chunk(&png, &chunk(b"tEXt", b"Comment\0a secret")), &chunk(b"eXIf", &exif()[6..]));
    let kept = media().check([noted.as_slice(), b"<script>"].concat().into()).await.unwrap();
    assert!(
        !contains(&kept.bytes, b"secret")
            && !contains(&kept.bytes, b"GPS")
            && !contains(&kept.bytes, b"<script>")
    );
    assert_eq!((kept.width, kept.height), (20, 40), "turned, since a PNG cannot say so to everybody");
    let turned = ::image::load_from_memory(&kept.bytes).unwrap().to_rgb8();
    assert_eq!(
        (turned.get_pixel(10, 3), turned.get_pixel(10, 36)),
        (&Rgb([250, 10, 10]), &Rgb([10, 10, 250]))
    );

    // What its colours mean is kept when it is turned.
    let profile = b"colours as a printer sees them".repeat(9);
    let mut coloured = Cursor::new(Vec::new());
    let mut encoder = ::image::codecs::png::PngEncoder::new(&mut coloured);
    ::image::ImageEncoder::set_icc_profile(&mut encoder, profile.clone()).unwrap();
    picture(40, 20).write_with_encoder(encoder).unwrap();
    let coloured = with_chunk(&coloured.into_inner(), &chunk(b"eXIf", &exif()[6..]));
    let kept = media().check(coloured.into()).await.unwrap();
    assert_eq!((kept.width, kept.height), (20, 40));
    let mut decoder =
        ::image::ImageReader::with_format(Cursor::new(&kept.bytes), ImageFormat::Png).into_decoder().unwrap();
    assert_eq!(::image::ImageDecoder::icc_profile(&mut decoder).unwrap(), Some(profile));

    let webp = encoded(&picture(40, 20), ImageFormat::WebP);
    let mut noted = [webp.as_slice(), b"XMP \x08\0\0\0a secret"].concat();
    let size = u32::try_from(noted.len() - 8).unwrap().to_le_bytes();
    noted[4..8].copy_from_slice(&size);
    let kept = media().check(noted.into()).await.unwrap();
    assert!(!contains(&kept.bytes, b"secret"));
    assert_eq!(::image::load_from_memory(&kept.bytes).unwrap().dimensions(), (40, 20));
}

#[tokio::test]
async fn colours_of_every_depth_are_taken() {
    let plain = picture(30, 20);
    let kinds: [DynamicImage; 6] = [
        plain.to_luma8().into(),
        plain.to_luma_alpha8().into(),
        plain.to_rgba8().into(),
        plain.to_luma16().into(),
        plain.to_rgb16().into(),
        plain.to_rgba16().into(),
    ];
    for kind in kinds {
        let kept = media().check(encoded(&kind, ImageFormat::Png).into()).await.unwrap();
        assert_eq!((kept.format, kept.width, kept.height), (Format::Png, 30, 20), "{:?}", kind.color());
    }
    let grey = DynamicImage::from(plain.to_luma8());
    assert!(media().check(encoded(&grey, ImageFormat::Jpeg).into()).await.is_ok());
}

/// A WebP with notes of how it is to be turned.
fn noted_webp(webp: &[u8], width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let padding: &[u8] = if body.len() % 2 == 1 { &[0] } else { &[] };
        [kind.as_slice(), &u32::try_from(body.len()).unwrap().to_le_bytes(), body, padding].concat()
    };
    let size = |pixels: u32| (pixels - 1).to_le_bytes()[..3].to_vec();
    let header = [&[0x08, 0, 0, 0][..], &size(width), &size(height)].concat();
    let body = [b"WEBP", &chunk(b"VP8X", &header)[..], &webp[12..], &chunk(b"EXIF", &exif()[6..])].concat();
    [b"RIFF", &u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
}

#[tokio::test]
async fn a_photograph_that_is_turned_does_not_swell() {
    // As restless as a photograph: a PNG of it is large.
    let restless = RgbImage::from_fn(600, 400, |x, y| {
        let wave = |n: u32| u8::try_from((x * n + y * (n + 2) + (x * y) % 31) % 256).unwrap();
        Rgb([wave(1), wave(2), wave(3)])
    });
    let webp = encoded(&DynamicImage::from(restless), ImageFormat::WebP);
    let kept = media().check(noted_webp(&webp, 600, 400).into()).await.unwrap();
    assert_eq!((kept.format, kept.width, kept.height), (Format::Jpeg, 400, 600));
    assert_eq!(::image::load_from_memory(&kept.bytes).unwrap().dimensions(), (400, 600));
    assert!(kept.bytes.len() < 600 * 400 * 2, "{}", kept.bytes.len());
    assert!(!contains(&kept.bytes, b"GPS"));
}
