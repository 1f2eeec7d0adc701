//! Uploaded images over HTTP: what is taken, what is refused, what is served.

use std::io::Cursor;

use commerce_core::accounts::Role;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, Part, TestShop, ask, get, post};

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
        let shop = TestShop::new().await;
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

    #[allow(dead_code)]
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
