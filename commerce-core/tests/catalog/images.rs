//! Uploaded images: how they hang on their product, and that no file is forgotten.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use ::image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use bytes::Bytes;
use commerce_core::catalog::ExportLayout;
use commerce_core::catalog::image::{
    self, AddImage, FileKey, Format, ImagePatch, Media, WriteImageError, WrittenImage,
};
use commerce_core::catalog::{self, Audience, NewImage, ProductKey, ProductPatch};
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

pub fn media() -> Media {
    Media::over(Arc::new(InMemory::new()))
}

/// Red on the left, blue on the right.
pub fn picture(width: u32, height: u32) -> DynamicImage {
    let half = |x: u32| if x < width / 2 { Rgb([250, 10, 10]) } else { Rgb([10, 10, 250]) };
    RgbImage::from_fn(width, height, |x, _| half(x)).into()
}

pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
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
