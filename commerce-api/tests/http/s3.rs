//! The media store in a bucket, on a server that speaks S3.

use bytes::Bytes;
use commerce_core::catalog::image::{FileKey, Format, Media, MediaError};

use crate::moto::Moto;

fn open(address: &str) -> Media {
    let settings = [
        ("AWS_ENDPOINT", address),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "shop"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("PATH", "/bin"),
    ];
    Media::open(
        "s3://pictures/of/the/shop",
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_files_as_a_folder_does() {
    let Some(server) = Moto::start("s3::a_bucket_keeps_files_as_a_folder_does").await else { return };
    let media = open(&server.address);
    let (key, other) = (FileKey::new(Format::Jpeg), FileKey::new(Format::Png));
    assert!(media.put(&key, Bytes::from_static(b"x")).await.is_err(), "there is no bucket yet");
    server.make_bucket("pictures").await;
    let bytes = Bytes::from(vec![7; 300_000]);
    media.put(&key, bytes.clone()).await.unwrap();
    media.put(&key, bytes.clone()).await.unwrap();
    assert_eq!((media.read(&key).await.unwrap(), media.size(&key).await.unwrap()), (bytes, 300_000));
    let part = media.get(&key, Some(10..20)).await.unwrap();
    assert_eq!((part.size, part.range), (300_000, 10..20));
    assert_eq!(media.list().await.unwrap(), [key.to_string()]);
    assert!(matches!(media.read(&other).await, Err(MediaError::Missing(_))));
    for _ in 0..2 {
        media.delete(&key).await.unwrap();
    }
    assert!(media.list().await.unwrap().is_empty());
    drop(server);
}
