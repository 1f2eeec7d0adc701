//! Pictures from the upload to the browser and to their end, with both programs and a folder; and uploads under kill -9.

use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use commerce_core::catalog::image::Media;
use image::{DynamicImage, ImageFormat};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Ask, Client, ask, get, post};
use crate::moto::Moto;
use crate::purchase::admin;
use crate::shop::{Settings, Shop, eventually};

/// A folder for files that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("commerce-media-{}", uuid::Uuid::now_v7())))
    }

    fn setting(&self, settings: Settings) -> Settings {
        settings.with("COMMERCE_MEDIA_URL", format!("file://{}", self.0.display()))
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn upload(path: &str, staff: &str, width: u32) -> Ask {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, width / 2).write_to(&mut file, ImageFormat::Jpeg).unwrap();
    let mut body =
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n".to_vec();
    body.extend(file.into_inner());
    body.extend(b"\r\n--x--\r\n");
    ask(Method::POST, path).bytes("multipart/form-data; boundary=x", body).bearer(staff)
}

async fn product(client: &Client, staff: &str) -> String {
    let made = client.send(post("/v1/products", &json!({ "title": "Mug" })).bearer(staff)).await.expect(201);
    format!("/v1/products/{}", made["id"].as_str().unwrap())
}

async fn images(client: &Client, product: &str) -> Vec<Value> {
    client.send(get(product)).await.expect(200)["images"].as_array().unwrap().clone()
}

/// From the upload to the end of its files, which `files` lists.
async fn a_picture_lives_and_dies(shop: &Shop, files: impl AsyncFn() -> Vec<String>) {
    let staff = admin(shop).await;
    let product = product(&shop.client, &staff).await;
    let path = format!("{product}/images");
    let huge =
        ask(Method::POST, path.clone()).bytes("multipart/form-data; boundary=x", vec![b'x'; 50_000_000]);
    let code = shop.client.send(huge.bearer(&staff)).await.problem(413);
    assert_eq!(code, "body_too_large");
    let image = shop.client.send(upload(&path, &staff, 1000)).await.expect(201);
    let variants = eventually("three smaller copies", async || {
        let variants = images(&shop.client, &product).await[0]["variants"].as_array().unwrap().clone();
        (variants.len() == 3).then_some(variants)
    })
    .await;
    let urls = variants.iter().chain([&image]).map(|file| file["url"].as_str().unwrap());
    for url in urls.clone() {
        let got = shop.client.send(get(url)).await;
        assert_eq!((got.status, got.header("content-type")), (200, Some("image/jpeg")), "{url}");
    }
    assert_eq!(files().await.len(), 4);
    let removed = ask(Method::DELETE, format!("{path}/{}", image["id"].as_str().unwrap()));
    shop.client.send(removed.bearer(&staff)).await.expect(204);
    eventually("the files are deleted", async || files().await.is_empty().then_some(())).await;
    for url in urls {
        assert_eq!(shop.client.send(get(url)).await.problem(404), "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_uploaded_made_smaller_served_and_removed() {
    let folder = Folder::new();
    let shop = Shop::open_with(|settings| folder.setting(settings)).await;
    a_picture_lives_and_dies(&shop, async || folder.files()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_happens_in_a_bucket() {
    const URL: &str = "s3://pictures/of/the/shop";
    let Some(server) = Moto::start("pictures::the_same_happens_in_a_bucket").await else { return };
    server.make_bucket("pictures").await;
    let settings = [
        ("AWS_ENDPOINT", server.address.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "shop"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let shop = Shop::open_with(|told| {
        settings
            .iter()
            .fold(told.with("COMMERCE_MEDIA_URL", URL), |told, (name, value)| told.with(name, *value))
    })
    .await;
    let bucket = Media::open(URL, settings.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    a_picture_lives_and_dies(&shop, async || bucket.list().await.unwrap()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_uploads_no_file_is_lost_or_left() {
    let folder = Folder::new();
    let mut shop = Shop::open_with(|settings| folder.setting(settings)).await;
    let staff = admin(&shop).await;
    let product = product(&shop.client, &staff).await;
    let path = format!("{product}/images");
    let mut acknowledged = 0;
    for round in 0..6 {
        let uploads: Vec<_> = (0..4)
            .map(|_| {
                let (client, ask) = (shop.client.clone(), upload(&path, &staff, 600));
                tokio::spawn(async move { client.try_send(ask).await.is_ok_and(|got| got.status == 201) })
            })
            .collect();
        // Wherever it happens to be by then.
        tokio::time::sleep(Duration::from_millis(15 + 25 * round)).await;
        shop.api.signal("KILL");
        shop.worker.signal("KILL");
        for upload in uploads {
            acknowledged += usize::from(upload.await.unwrap());
        }
        let (api, address) = shop.settings.start_api().await;
        shop.client.moved(address);
        std::mem::replace(&mut shop.api, api).kill().await;
        let worker = shop.settings.start_worker().await;
        std::mem::replace(&mut shop.worker, worker).kill().await;
    }
    let shown = eventually("all copies are made", async || {
        let images = images(&shop.client, &product).await;
        images.iter().all(|image| image["variants"].as_array().unwrap().len() == 2).then_some(images)
    })
    .await;
    assert!(shown.len() >= acknowledged, "{} images of {acknowledged} that were acknowledged", shown.len());
    println!(
        "{acknowledged} acknowledged, {} shown, {} files before the sweep",
        shown.len(),
        folder.files().len()
    );
    // Hours later.
    shop.database.shift_clock(Duration::from_secs(2 * 3600)).await;
    let media = Media::open(&format!("file://{}", folder.0.display()), []).unwrap();
    commerce_core::catalog::image::sweep_files(shop.database.pool(), &media, 1000).await.unwrap();
    let copies = shown.iter().flat_map(|image| image["variants"].as_array().unwrap());
    let mut wanted: Vec<String> = shown
        .iter()
        .chain(copies)
        .map(|file| file["url"].as_str().unwrap().trim_start_matches("/media/").to_owned())
        .collect();
    let mut files = folder.files();
    wanted.sort();
    files.sort();
    assert_eq!(files, wanted);
    shop.close().await;
}
