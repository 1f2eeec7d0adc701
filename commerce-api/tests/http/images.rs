//! Uploaded images over HTTP: what is taken, what is refused, what is served.

use std::io::Cursor;
use std::sync::Arc;

use commerce_core::accounts::Role;
use commerce_core::catalog::image::Media;
use commerce_core::catalog::limits::IMAGE_FILE_BYTES_MAX;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use object_store::memory::InMemory;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, Part, TestShop, ask, get, post};
use crate::world::fingerprint;

/// A picture of this size whose colours tell its places apart.
pub fn picture(width: u32, height: u32) -> DynamicImage {
    let shade = |at: u32, of: u32| u8::try_from(at * 255 / of.max(1)).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([shade(x, width), shade(y, height), 60])).into()
}

pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A shop with a product and somebody who may change it.
struct Given {
    shop: TestShop,
    staff: String,
    product: String,
}

impl Given {
    async fn new() -> Self {
        Self::over(Media::over(Arc::new(InMemory::new()))).await
    }

    async fn over(media: Media) -> Self {
        let shop = TestShop::storing(media).await;
        let (_, staff) = shop.login(Role::CatalogueManager).await;
        let new = json!({ "title": "Mug", "price": { "amount": 1250, "currency": "USD" } });
        let product = shop.send(post("/v1/products", &new).bearer(&staff)).await.json();
        let product = product["id"].as_str().unwrap().to_owned();
        Self { shop, staff, product }
    }

    fn path(&self) -> String {
        format!("/v1/products/{}/images", self.product)
    }

    async fn send(&self, parts: &[Part<'_>]) -> Got {
        self.shop.send(ask(Method::POST, &self.path()).form("frontier", parts).bearer(&self.staff)).await
    }

    async fn upload(&self, file: &[u8]) -> Got {
        self.send(&[("file", Some("../../etc/passwd.png"), file)]).await
    }

    async fn images(&self) -> Vec<Value> {
        let product = self.shop.send(get(&format!("/v1/products/{}", self.product))).await.json();
        product["images"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_shown_and_served() {
    let given = Given::new().await;
    for (format, extension) in
        [(ImageFormat::Png, "png"), (ImageFormat::Jpeg, "jpg"), (ImageFormat::WebP, "webp")]
    {
        let file = encoded(&picture(40, 30), format);
        let sent =
            [("file", Some("cat.exe"), file.as_slice()), ("alt", None, b"A cat"), ("position", None, b"0")];
        let got = given.send(&sent).await;
        assert_eq!(got.status, 201, "{}", got.text);
        let image = got.json();
        let url = image["url"].as_str().unwrap();
        assert!(url.starts_with("/media/") && url.ends_with(extension), "{url}");
        assert_eq!(got.header("location"), Some(url));
        assert_eq!((&image["alt"], &image["position"]), (&json!("A cat"), &json!(0)));
        assert_eq!((&image["width"], &image["height"]), (&json!(40), &json!(30)));
        assert_eq!(given.images().await[0], image);
        let served = given.shop.send(get(url)).await;
        assert_eq!(served.status, 200);
        let decoded = image::load_from_memory_with_format(&served.bytes, format).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (40, 30));
        assert_eq!(served.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(served.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(given.images().await.len(), 3);
    given.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_at_its_place_and_leaves_nothing() {
    let given = Given::new().await;
    let png = encoded(&picture(20, 20), ImageFormat::Png);
    let mut flood = png.clone();
    // 50,000 × 50,000 pixels are declared; the checksum is not even looked at before.
    flood[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let before = fingerprint(&given.shop).await;
    let files: [&[u8]; 7] = [
        b"",
        svg,
        b"\x7fELF\x02\x01\x01\0",
        b"MZ\x90\0\x03\0\0\0",
        &flood,
        &png[..png.len() / 2],
        b"\xff\xd8\xff",
    ];
    for file in files {
        assert_eq!(given.upload(file).await.problem(422, "validation_failed"), ["/file"]);
    }
    assert_eq!(given.send(&[]).await.problem(422, "validation_failed"), ["/file"]);
    assert_eq!(given.send(&[("alt", None, b"x")]).await.problem(422, "validation_failed"), ["/file"]);
    let wrong = given.send(&[("picture", Some("a.png"), &png)]).await;
    assert_eq!(wrong.problem(422, "validation_failed"), ["/picture", "/file"]);
    let twice = given.send(&[("file", Some("a.png"), &png), ("file", Some("b.png"), &png)]).await;
    assert_eq!(twice.problem(422, "validation_failed"), ["/file"]);
    for (name, value) in [("position", "-1"), ("position", "x"), ("position", "99999999999999")] {
        let got = given.send(&[("file", Some("a.png"), &png), (name, None, value.as_bytes())]).await;
        assert_eq!(got.problem(422, "validation_failed"), [format!("/{name}")], "{name} {value}");
    }
    let long = "x".repeat(513);
    let got = given.send(&[("file", Some("a.png"), &png), ("alt", None, long.as_bytes())]).await;
    assert_eq!(got.problem(422, "validation_failed"), ["/alt"]);
    let huge = vec![0; 50_000_000];
    given.upload(&huge).await.problem(413, "body_too_large");
    given.upload(&huge[..IMAGE_FILE_BYTES_MAX + 1]).await.problem(413, "body_too_large");
    let no_boundary =
        ask(Method::POST, &given.path()).untyped("x").header("Content-Type", "multipart/form-data");
    given.shop.send(no_boundary.bearer(&given.staff)).await.problem(400, "malformed_body");
    let unknown =
        ask(Method::POST, "/v1/products/nothing/images").form("x", &[("file", Some("a.png"), &png)]);
    given.shop.send(unknown.bearer(&given.staff)).await.problem(404, "not_found");
    let stale = ask(Method::POST, &given.path()).form("x", &[("file", Some("a.png"), &png)]);
    let stale = stale.header("If-Match", "\"99\"").bearer(&given.staff);
    given.shop.send(stale).await.problem(412, "version_mismatch");
    assert_eq!(fingerprint(&given.shop).await, before);
    assert!(given.shop.state.media.list().await.unwrap().is_empty());
    given.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_has_an_end_of_images() {
    let given = Given::new().await;
    let links: Vec<Value> = (0..250).map(|n| json!({ "url": format!("/demo-images/{n}.svg") })).collect();
    let product = ask(Method::PATCH, &format!("/v1/products/{}", given.product));
    let full = given.shop.send(product.json(&json!({ "images": links })).bearer(&given.staff)).await;
    assert_eq!(full.status, 200, "{}", full.text);
    let got = given.upload(&encoded(&picture(20, 20), ImageFormat::Png)).await;
    assert_eq!(got.problem(422, "validation_failed"), [""]);
    assert!(given.shop.state.media.list().await.unwrap().is_empty());
    given.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_upload_under_one_key_is_one_image_wherever_its_boundaries_are() {
    let given = Given::new().await;
    let (png, other) = (picture(20, 20), picture(21, 20));
    let (png, other) = (encoded(&png, ImageFormat::Png), encoded(&other, ImageFormat::Png));
    let send = async |boundary: &str, name: &str, file: &[u8], alt: &str| {
        let parts = [("file", Some(name), file), ("alt", None, alt.as_bytes())];
        let ask = ask(Method::POST, &given.path()).form(boundary, &parts);
        given.shop.send(ask.header("Idempotency-Key", "k1").bearer(&given.staff)).await
    };
    let first = send("one", "a.png", &png, "A").await;
    assert_eq!(first.status, 201);
    let again = send("another", "b.jpg", &png, "A").await;
    assert_eq!((again.status.as_u16(), &again.text), (201, &first.text));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    send("one", "a.png", &other, "A").await.problem(422, "idempotency_key_reused");
    send("one", "a.png", &png, "B").await.problem(422, "idempotency_key_reused");
    assert_eq!((given.images().await.len(), given.shop.state.media.list().await.unwrap().len()), (1, 1));
    given.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_changed_and_removed_by_who_may() {
    let given = Given::new().await;
    let (_, customer) = given.shop.login(Role::Customer).await;
    let png = encoded(&picture(20, 20), ImageFormat::Png);
    let by_customer = ask(Method::POST, &given.path()).form("x", &[("file", Some("a.png"), &png)]);
    given.shop.send(by_customer.bearer(&customer)).await.problem(403, "permission_denied");
    let first = given.upload(&png).await;
    let second = given.upload(&png).await;
    let path = |got: &Got| format!("{}/{}", given.path(), got.json()["id"].as_str().unwrap());
    let change = ask(Method::PATCH, &path(&second)).json(&json!({ "alt": "B", "position": 0 }));
    let tag = second.header("etag").unwrap();
    let changed = given.shop.send(change.clone().header("If-Match", tag).bearer(&given.staff)).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["alt"]), (200, &json!("B")));
    given
        .shop
        .send(change.header("If-Match", tag).bearer(&given.staff))
        .await
        .problem(412, "version_mismatch");
    let ids = async || given.images().await.iter().map(|image| image["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids().await, [second.json()["id"].clone(), first.json()["id"].clone()]);
    // A client that reads the product and puts back what it read loses no image.
    let images: Vec<Value> =
        given.images().await.iter().map(|i| json!({ "url": i["url"], "alt": i["alt"] })).collect();
    let put = ask(Method::PUT, &format!("/v1/products/{}", given.product));
    let put =
        given.shop.send(put.json(&json!({ "title": "Mug", "images": images })).bearer(&given.staff)).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert_eq!(ids().await, [second.json()["id"].clone(), first.json()["id"].clone()]);
    for status in [204, 404] {
        let removed = given.shop.send(ask(Method::DELETE, &path(&second)).bearer(&given.staff)).await;
        assert_eq!(removed.status.as_u16(), status);
    }
    assert_eq!(ids().await, [first.json()["id"].clone()]);
    given.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_served_in_parts_and_only_by_their_names() {
    let given = Given::new().await;
    let url = given.upload(&encoded(&picture(40, 40), ImageFormat::Png)).await.json()["url"].clone();
    let url = url.as_str().unwrap();
    let whole = given.shop.send(get(url).header("Accept-Encoding", "gzip")).await;
    assert_eq!((whole.header("content-encoding"), whole.header("accept-ranges")), (None, Some("bytes")));
    assert_eq!(whole.header("content-type"), Some("image/png"));
    let size = whole.bytes.len();
    assert_eq!(whole.header("content-length"), Some(size.to_string().as_str()));
    let tag = whole.header("etag").unwrap();
    for (range, part) in [("bytes=0-3", 0..4), ("bytes=4-", 4..size), ("bytes=-5", size - 5..size)] {
        let got = given.shop.send(get(url).header("Range", range)).await;
        assert_eq!((got.status.as_u16(), &got.bytes[..]), (206, &whole.bytes[part.clone()]), "{range}");
        let expected = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(got.header("content-range"), Some(expected.as_str()));
    }
    let beyond = given.shop.send(get(url).header("Range", "bytes=999999-")).await;
    beyond.problem(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{size}").as_str()));
    let changed =
        given.shop.send(get(url).header("Range", "bytes=0-3").header("If-Range", "\"other\"")).await;
    assert_eq!((changed.status.as_u16(), changed.bytes.len()), (200, size));
    let known = given.shop.send(get(url).header("If-None-Match", tag)).await;
    assert_eq!((known.status.as_u16(), known.bytes.len()), (304, 0));
    let head = given.shop.send(ask(Method::HEAD, url)).await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    given.shop.send(ask(Method::DELETE, url)).await.problem(405, "method_not_allowed");
    let absent = "/media/01939f5c-7e2b-7c4a-9a55-0d8a6a4f0010.png";
    for path in [
        absent,
        "/media/x",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media/%2e%2e",
        "/media/",
        &format!("{url}%00"),
    ] {
        let status = given.shop.send(get(path)).await.status.as_u16();
        assert!([400, 404].contains(&status), "{path}: {status}");
    }
    given.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_and_nothing_is_half_written() {
    // A file where the folder should be: no write can succeed.
    let place = std::env::temp_dir().join(format!("no-folder-{}", uuid::Uuid::now_v7()));
    std::fs::write(&place, "").unwrap();
    let given = Given::over(Media::open(&format!("file://{}", place.display()), []).unwrap()).await;
    let got = given.upload(&encoded(&picture(20, 20), ImageFormat::Png)).await;
    got.problem(503, "unavailable");
    assert!(got.header("retry-after").is_some() && !got.text.contains("no-folder"));
    assert!(given.images().await.is_empty());
    std::fs::remove_file(place).unwrap();
    given.shop.database.finish().await;
}
