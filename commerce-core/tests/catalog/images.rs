//! Uploaded images: what is taken, how they hang on their product, and that no file is forgotten.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use ::image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use bytes::Bytes;
use commerce_core::catalog::ExportLayout;
use commerce_core::catalog::image::{
    self, AddImage, FileKey, Format, ImagePatch, ImageRefusal, Media, WriteImageError, WrittenImage,
};
use commerce_core::catalog::{self, Audience, NewImage, ProductKey, ProductPatch, limits};
use commerce_core::db::Pool;
use commerce_core::flows::{ImportOptions, import_products};
use commerce_core::ids::{ImageId, ProductId};
use commerce_core::inventory::MAIN_LOCATION;
use commerce_core::jobs::{self, Job as _, kinds};
use commerce_core::money::Currency;
use commerce_core::request::Origin;
use commerce_core::testing::TestDatabase;
use object_store::memory::InMemory;

use super::given::simple;

fn media() -> Media {
    Media::over(Arc::new(InMemory::new()))
}

/// Red on the left, blue on the right.
fn picture(width: u32, height: u32) -> DynamicImage {
    let half = |x: u32| if x < width / 2 { Rgb([250, 10, 10]) } else { Rgb([10, 10, 250]) };
    RgbImage::from_fn(width, height, |x, _| half(x)).into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

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

/// A product and a place for its files.
struct Given {
    db: TestDatabase,
    media: Media,
    product: ProductId,
}

impl Given {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let product = simple(&mut *db.conn().await, "Mug", 1250, 5).await.id;
        Self { db, media: media(), product }
    }

    async fn upload(
        &self,
        picture: &DynamicImage,
        position: Option<usize>,
    ) -> Result<WrittenImage, WriteImageError> {
        let image = self.begin(picture, position).await?;
        image::add_image(&mut *self.db.conn().await, self.product, &image).await
    }

    /// As far as a process comes that is killed before the image is shown.
    async fn begin(
        &self,
        picture: &DynamicImage,
        position: Option<usize>,
    ) -> Result<AddImage, WriteImageError> {
        let checked = self.media.check(encoded(picture, ImageFormat::Png).into()).await.unwrap();
        let file = FileKey::new(checked.format);
        let (width, height) = (checked.width, checked.height);
        let image =
            AddImage { if_version: None, file, width, height, alt: "Red and blue".to_owned(), position };
        image::begin_upload(&mut *self.db.conn().await, self.product, &image).await?;
        self.media.put(&image.file, checked.bytes).await.unwrap();
        Ok(image)
    }

    async fn images(&self) -> Vec<catalog::Image> {
        let key = ProductKey::Id(self.product);
        let found = catalog::find_product(&mut *self.db.conn().await, &key, Audience::Staff).await.unwrap();
        found.unwrap().images
    }

    /// Runs the jobs there are, as a worker does.
    async fn work(&self) {
        let kinds = [kinds::ResizeImage::KIND, kinds::DeleteFiles::KIND];
        let lease = Duration::from_secs(60);
        loop {
            let claimed = jobs::claim(&mut *self.db.conn().await, "tester", &kinds, 10, lease).await.unwrap();
            if claimed.is_empty() {
                return;
            }
            for job in claimed {
                run(self.db.pool(), &self.media, &job).await;
            }
        }
    }

    async fn files(&self) -> usize {
        self.media.list().await.unwrap().len()
    }
}

async fn run(pool: &Pool, media: &Media, job: &jobs::ClaimedJob) {
    if job.kind == kinds::DeleteFiles::KIND {
        let files: kinds::DeleteFiles = serde_json::from_value(job.payload.clone()).unwrap();
        image::delete_files(pool, media, job.lease(), &files.keys).await.unwrap();
    } else {
        let resize: kinds::ResizeImage = serde_json::from_value(job.payload.clone()).unwrap();
        image::resize_image(pool, media, job.lease(), resize.image_id).await.unwrap();
    }
}

fn file_of(url: &str) -> FileKey {
    FileKey::parse(url.strip_prefix(image::MEDIA_PATH).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn smaller_copies_are_made_turned_and_without_notes() {
    let given = Given::new().await;
    given.upload(&picture(2000, 1000), None).await.unwrap();
    // Transparent on the left.
    let glass = RgbaImage::from_fn(500, 250, |x, _| Rgba([9, 9, 9, if x < 250 { 0 } else { 255 }]));
    given.upload(&glass.into(), None).await.unwrap();
    given.upload(&picture(100, 100), None).await.unwrap();
    given.work().await;
    let images = given.images().await;
    let sizes = |image: &catalog::Image| {
        image.variants.iter().map(|copy| (copy.width, copy.height)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&images[0]), [(160, 80), (480, 240), (960, 480)]);
    assert_eq!(sizes(&images[1]), [(160, 80), (480, 240)]);
    assert_eq!(sizes(&images[2]), [], "it is small as it is");
    for (image, format) in [(&images[0], Format::Jpeg), (&images[1], Format::Png)] {
        for copy in &image.variants {
            let file = file_of(&copy.url);
            assert_eq!(file.format(), format);
            let decoded = ::image::load_from_memory(&given.media.read(&file).await.unwrap()).unwrap();
            assert_eq!(decoded.dimensions(), (copy.width, copy.height));
            let left = decoded.get_pixel(copy.width / 8, copy.height / 2);
            assert!(
                if format == Format::Png { left.0[3] == 0 } else { left.0[0] > 200 && left.0[2] < 60 },
                "{left:?}"
            );
        }
    }
    assert_eq!(given.files().await, 3 + 5);
    given.db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_keep_their_order_and_links_stay_links() {
    let given = Given::new().await;
    let conn = &mut given.db.conn().await;
    let link = |url: &str| NewImage { url: url.to_owned(), alt: String::new() };
    let patch = |images: Vec<NewImage>| ProductPatch { images: Some(images), ..ProductPatch::default() };
    let links = vec![link("https://cdn.example/a.jpg"), link("https://cdn.example/b.jpg")];
    catalog::update_product(conn, given.product, None, patch(links), Currency::USD).await.unwrap();
    let first = given.upload(&picture(10, 10), Some(1)).await.unwrap();
    let last = given.upload(&picture(10, 10), Some(99)).await.unwrap();
    let order = async || {
        given.images().await.iter().map(|image| (image.url.clone(), image.position)).collect::<Vec<_>>()
    };
    let (first_url, last_url) = (first.image.url.clone(), last.image.url.clone());
    let (a, b) = ("https://cdn.example/a.jpg".to_owned(), "https://cdn.example/b.jpg".to_owned());
    assert_eq!(
        order().await,
        [(a.clone(), 0), (first_url.clone(), 1), (b.clone(), 2), (last_url.clone(), 3)]
    );
    let to_front = ImagePatch { alt: Some("New".to_owned()), position: Some(0) };
    let version = Some(last.product_version);
    let moved = image::update_image(conn, given.product, last.image.id, version, &to_front).await.unwrap();
    assert_eq!((moved.image.alt.as_str(), moved.image.position), ("New", 0));
    assert_eq!(
        order().await,
        [(last_url.clone(), 0), (a.clone(), 1), (first_url.clone(), 2), (b.clone(), 3)]
    );
    let stale = image::update_image(conn, given.product, last.image.id, version, &to_front).await;
    assert!(matches!(stale, Err(WriteImageError::VersionMismatch { .. })));
    let unknown = image::remove_image(conn, given.product, ImageId::new(), None).await;
    assert!(matches!(unknown, Err(WriteImageError::UnknownImage)));
    // The whole list, as a client read it: what is in it stays, what is not goes.
    let whole = vec![link(&b), link(&first_url)];
    catalog::update_product(conn, given.product, None, patch(whole), Currency::USD).await.unwrap();
    let images = given.images().await;
    assert!(images[0].size.is_none() && images[1].size == Some((10, 10)) && images[1].id == first.image.id);
    given.work().await;
    assert_eq!(given.media.list().await.unwrap(), [file_of(&first_url).to_string()]);
    // Nobody can hang a file of another image on a product.
    let stranger = simple(conn, "Cup", 1, 1).await.id;
    let stolen =
        catalog::update_product(conn, stranger, None, patch(vec![link(&first_url)]), Currency::USD).await;
    assert!(stolen.is_err(), "{stolen:?}");
    given.db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_once_get_places_of_their_own_and_never_too_many() {
    let given = Arc::new(Given::new().await);
    let links = (0..244)
        .map(|number| NewImage { url: format!("/demo-images/{number}.svg"), alt: String::new() })
        .collect();
    let patch = ProductPatch { images: Some(links), ..Default::default() };
    let conn = &mut *given.db.conn().await;
    catalog::update_product(conn, given.product, None, patch, Currency::USD).await.unwrap();
    let racing = (0..10).map(|_| {
        let given = Arc::clone(&given);
        tokio::spawn(async move { given.upload(&picture(2, 2), Some(0)).await.is_ok() })
    });
    let mut taken = 0;
    for upload in racing.collect::<Vec<_>>() {
        taken += usize::from(upload.await.unwrap());
    }
    assert_eq!(taken, 6);
    let places: Vec<i32> = given.images().await.iter().map(|image| image.position).collect();
    assert_eq!(places, (0..250).collect::<Vec<_>>());
    let given = Arc::into_inner(given).unwrap();
    // What the others wrote is swept, and what the six have is not.
    given.db.shift_clock(Duration::from_secs(2 * 3600)).await;
    image::sweep_files(given.db.pool(), &given.media, 100).await.unwrap();
    assert_eq!(given.files().await, 6);
    given.db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_leaves_is_swept() {
    let given = Given::new().await;
    let begun = given.begin(&picture(9, 9), None).await.unwrap();
    assert_eq!((given.files().await, given.images().await.len()), (1, 0));
    assert_eq!(
        image::sweep_files(given.db.pool(), &given.media, 100).await.unwrap(),
        0,
        "it may still be shown"
    );
    given.db.shift_clock(Duration::from_secs(31 * 60)).await;
    let late = image::add_image(&mut *given.db.conn().await, given.product, &begun).await;
    assert!(matches!(late, Err(WriteImageError::UploadLapsed)), "{late:?}");
    given.db.shift_clock(Duration::from_secs(2 * 3600)).await;
    assert_eq!(image::sweep_files(given.db.pool(), &given.media, 100).await.unwrap(), 1);
    assert_eq!(given.files().await, 0);
    assert_eq!(image::sweep_files(given.db.pool(), &given.media, 100).await.unwrap(), 0);
    given.db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_while_copies_are_made_leaves_no_file() {
    let given = Given::new().await;
    let mut shifted = Duration::ZERO;
    for removed_first in [true, false, false, false] {
        let image = given.upload(&picture(400, 400), None).await.unwrap().image;
        let kinds = [kinds::ResizeImage::KIND];
        let claimed =
            jobs::claim(&mut *given.db.conn().await, "a", &kinds, 1, Duration::from_secs(60)).await.unwrap();
        let remove = async || {
            image::remove_image(&mut *given.db.conn().await, given.product, image.id, None).await.unwrap();
        };
        if removed_first {
            remove().await;
            given.work().await;
            let gone = jobs::claim(&mut *given.db.conn().await, "b", &kinds, 1, Duration::from_secs(60))
                .await
                .unwrap();
            assert!(gone.is_empty());
            run(given.db.pool(), &given.media, &claimed[0]).await;
        } else {
            let (pool, media) = (given.db.pool().clone(), given.media.clone());
            let job = claimed[0].clone();
            let resizing =
                tokio::spawn(async move { image::resize_image(&pool, &media, job.lease(), image.id).await });
            remove().await;
            // The picture may be gone before it was read: then the job is tried again, and finds nothing to do.
            let _ = resizing.await.unwrap();
        }
        given.work().await;
        shifted += Duration::from_secs(60);
        given.db.shift_clock(shifted).await;
        given.work().await;
        assert_eq!(
            (given.files().await, given.images().await.len()),
            (0, 0),
            "removed first: {removed_first}"
        );
    }
    given.db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_cut_off_is_done_again_and_what_it_wrote_is_swept() {
    let given = Given::new().await;
    given.upload(&picture(400, 400), None).await.unwrap();
    let kinds = [kinds::ResizeImage::KIND];
    // Lost its lease after it had written its copies: another attempt shows others.
    let first =
        jobs::claim(&mut *given.db.conn().await, "a", &kinds, 1, Duration::from_secs(60)).await.unwrap();
    given.db.shift_clock(Duration::from_secs(120)).await;
    given.work().await;
    let image = given.images().await.remove(0);
    let lost = image::resize_image(given.db.pool(), &given.media, first[0].lease(), image.id).await;
    assert!(lost.is_err());
    assert_eq!(given.images().await[0], image);
    assert_eq!(given.files().await, 3);
    given.db.shift_clock(Duration::from_secs(2 * 3600)).await;
    assert_eq!(image::sweep_files(given.db.pool(), &given.media, 100).await.unwrap(), 1);
    let mut left = given.media.list().await.unwrap();
    let mut shown = vec![file_of(&image.url).to_string(), file_of(&image.variants[0].url).to_string()];
    left.sort();
    shown.sort();
    assert_eq!(left, shown);
    given.db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_files_and_forgets_unfinished_ones() {
    let folder = std::env::temp_dir().join(format!("media-{}", uuid::Uuid::now_v7()));
    let media = Media::open(&format!("file://{}", folder.display()), []).unwrap();
    let key = FileKey::new(Format::Jpeg);
    assert!(matches!(media.read(&key).await, Err(image::MediaError::Missing(_))), "there is no folder yet");
    media.put(&key, Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!(media.read(&key).await.unwrap().as_ref(), b"0123456789");
    assert_eq!(media.list().await.unwrap(), [key.to_string()]);
    let unfinished = folder.join(format!("{key}#1"));
    std::fs::write(&unfinished, "012").unwrap();
    for _ in 0..2 {
        media.delete(&key).await.unwrap();
        assert!(!unfinished.exists() && !folder.join(key.to_string()).exists());
    }
    std::fs::remove_dir(folder).unwrap();
}

#[tokio::test]
async fn an_uploaded_picture_stays_when_the_catalogue_goes_out_and_comes_in_again() {
    let given = Given::new().await;
    given.upload(&picture(30, 20), None).await.unwrap();
    let before = given.images().await;
    let conn = &mut *given.db.conn().await;
    for layout in [ExportLayout::Native, ExportLayout::Shopify] {
        let mut export = catalog::ProductExport::begin(conn, layout, MAIN_LOCATION).await.unwrap();
        let csv = export.header() + &export.next_rows(conn).await.unwrap().unwrap();
        assert!(csv.contains("mug,Mug,") && !csv.contains("/media/"), "{csv}");
        let (options, origin) = (ImportOptions::default(), Origin::system());
        let report =
            import_products(conn, csv.as_bytes(), options, Currency::USD, &origin, &mut |_| {}).await;
        assert_eq!(report.unwrap().unchanged, 1, "{csv}");
    }
    assert_eq!(given.images().await, before);
    given.work().await;
    given.db.finish().await;
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
