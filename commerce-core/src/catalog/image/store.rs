//! Where files are stored: in a folder, or in a bucket with an S3 API.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, RetryConfig,
};
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

/// How many images one process decodes at once. Each may need a few hundred megabytes.
const DECODED_AT_ONCE: usize = 2;

/// The longest that a write of one file may take.
const PUT_TIMEOUT: Duration = Duration::from_secs(20);

/// The accepted image formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
}

impl Format {
    const ALL: [Self; 3] = [Self::Jpeg, Self::Png, Self::WebP];

    /// The extension of the file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// The media type for HTTP.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// The name of a file. It is made here and never given by a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    id: Uuid,
    format: Format,
}

impl FileKey {
    /// The name of a new file in this format.
    pub fn new(format: Format) -> Self {
        Self { id: Uuid::now_v7(), format }
    }

    /// Reads a name in the form that [`FileKey::new`] gives. `None` for every other text.
    pub fn parse(name: &str) -> Option<Self> {
        let (id, extension) = name.split_once('.')?;
        let format = Format::ALL.into_iter().find(|format| format.extension() == extension)?;
        let id = Uuid::try_parse(id).ok()?;
        let key = Self { id, format };
        (key.to_string() == name).then_some(key)
    }

    /// The unique part of the name.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The format of the file.
    pub fn format(&self) -> Format {
        self.format
    }
}

impl std::fmt::Display for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.id, self.format.extension())
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MediaSettingError {
    /// The value is not a URL.
    #[error("is not an address such as file:///var/lib/shop/media or s3://bucket/prefix: {0}")]
    NotAnAddress(String),
    /// The scheme of the URL is not supported.
    #[error("{0}:// is not supported; use file:// or s3://")]
    UnknownPlace(String),
    /// The store refused the setting.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The store has no such file.
    #[error("the media store has no file {0}")]
    Missing(String),
    /// The store took too long.
    #[error("the media store did not store the file within {PUT_TIMEOUT:?}")]
    TooSlow,
    /// The store failed.
    #[error("the media store failed: {0}")]
    Store(#[source] object_store::Error),
}

/// A file, or a range of it, that is being read.
pub struct Download {
    /// The size of the whole file in bytes.
    pub size: u64,
    /// The range of bytes that follows.
    pub range: Range<u64>,
    /// The bytes, as they arrive.
    pub bytes: BoxStream<'static, Result<Bytes, object_store::Error>>,
}

/// The place where files are stored. Cheap to clone.
#[derive(Clone)]
pub struct Media {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The folder of the files, if they are on this machine.
    folder: Option<PathBuf>,
    pub(super) decoders: Arc<Semaphore>,
}

impl Media {
    /// Opens `file:///folder`, which is created when it is needed, or `s3://bucket/prefix`. `access` is for a
    /// bucket: names and values such as `access_key_id`, `secret_access_key`, `region` and, for servers other
    /// than Amazon's, `endpoint`. The names, in either case, are those of
    /// [`AmazonS3ConfigKey`](object_store::aws::AmazonS3ConfigKey). Other names are ignored.
    pub fn open(
        url: &str,
        access: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, MediaSettingError> {
        let url = Url::parse(url).map_err(|error| MediaSettingError::NotAnAddress(error.to_string()))?;
        let scheme = ObjectStoreScheme::parse(&url).map_err(object_store::Error::from);
        match scheme {
            Ok((ObjectStoreScheme::Local, prefix)) => {
                let not_local = |()| MediaSettingError::NotAnAddress("it names another machine".to_owned());
                let folder = url.to_file_path().map_err(not_local)?;
                // Without fsync, a crash of the machine could lose the file for good.
                let store = LocalFileSystem::new().with_fsync(true);
                Ok(Self::new(Arc::new(store), prefix, Some(folder)))
            }
            Ok((ObjectStoreScheme::AmazonS3, prefix)) => {
                Ok(Self::new(Arc::new(s3(&url, access)?), prefix, None))
            }
            Ok(_) => Err(MediaSettingError::UnknownPlace(url.scheme().to_owned())),
            Err(_) => Err(MediaSettingError::UnknownPlace(url.scheme().to_owned())),
        }
    }

    /// Uses a folder of this machine, which is created when it is needed.
    pub fn in_folder(folder: &std::path::Path) -> Result<Self, MediaSettingError> {
        let not_a_path = |error: &dyn std::fmt::Display| MediaSettingError::NotAnAddress(error.to_string());
        let folder = std::path::absolute(folder).map_err(|error| not_a_path(&error))?;
        let url = Url::from_file_path(&folder).map_err(|()| not_a_path(&folder.display()))?;
        Self::open(url.as_str(), [])
    }

    /// Uses any store, such as one in memory.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self::new(store, Path::default(), None)
    }

    fn new(store: Arc<dyn ObjectStore>, prefix: Path, folder: Option<PathBuf>) -> Self {
        Self { store, prefix, folder, decoders: Arc::new(Semaphore::new(DECODED_AT_ONCE)) }
    }

    fn location(&self, key: &FileKey) -> Path {
        self.prefix.clone().join(key.to_string())
    }

    /// Writes a whole file or nothing.
    pub async fn put(&self, key: &FileKey, bytes: Bytes) -> Result<(), MediaError> {
        let location = self.location(key);
        let put = self.store.put(&location, bytes.into());
        let put = tokio::time::timeout(PUT_TIMEOUT, put).await.map_err(|_| MediaError::TooSlow)?;
        put.map(drop).map_err(|error| media_error(key, error))
    }

    /// Opens a file. Its bytes are read on demand. `range` must lie within the file.
    pub async fn get(&self, key: &FileKey, range: Option<Range<u64>>) -> Result<Download, MediaError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let result = self.store.get_opts(&self.location(key), options).await;
        let result = result.map_err(|error| media_error(key, error))?;
        Ok(Download { size: result.meta.size, range: result.range.clone(), bytes: result.into_stream() })
    }

    /// The size of a file in bytes.
    pub async fn size(&self, key: &FileKey) -> Result<u64, MediaError> {
        let meta = self.store.head(&self.location(key)).await.map_err(|error| media_error(key, error))?;
        Ok(meta.size)
    }

    /// Reads a whole file.
    pub async fn read(&self, key: &FileKey) -> Result<Bytes, MediaError> {
        let result = self.store.get(&self.location(key)).await.map_err(|error| media_error(key, error))?;
        result.bytes().await.map_err(|error| media_error(key, error))
    }

    /// Deletes a file, and what an aborted write of it may have left. A missing file counts as deleted.
    pub async fn delete(&self, key: &FileKey) -> Result<(), MediaError> {
        match self.store.delete(&self.location(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(media_error(key, error)),
        }
        if let Some(folder) = &self.folder {
            // The store writes into `name#1` and renames it.
            let unfinished = folder.join(format!("{key}#1"));
            if let Err(error) = tokio::fs::remove_file(unfinished).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%key, %error, "an unfinished file could not be deleted");
            }
        }
        Ok(())
    }

    /// The names of all files, for tests and for operators.
    pub async fn list(&self) -> Result<Vec<String>, MediaError> {
        let mut files = self.store.list(Some(&self.prefix));
        let mut names = Vec::new();
        while let Some(file) = files.next().await {
            let file = file.map_err(MediaError::Store)?;
            names.extend(file.location.filename().map(str::to_owned));
        }
        Ok(names)
    }
}

fn s3(
    url: &Url,
    access: impl IntoIterator<Item = (String, String)>,
) -> Result<object_store::aws::AmazonS3, MediaSettingError> {
    // The client uses the process's TLS provider. If another one was installed before, that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new().with_connect_timeout(Duration::from_secs(5)).with_timeout(PUT_TIMEOUT);
    let retry =
        RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(10), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
    for (name, value) in access {
        if let Ok(setting) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(setting, value);
        }
    }
    Ok(builder.with_url(url.as_str()).build()?)
}

fn media_error(key: &FileKey, error: object_store::Error) -> MediaError {
    match error {
        object_store::Error::NotFound { .. } => MediaError::Missing(key.to_string()),
        other => MediaError::Store(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_made_here_are_files() {
        let key = FileKey::new(Format::Jpeg);
        assert_eq!(FileKey::parse(&key.to_string()), Some(key.clone()));
        let id = key.id();
        for name in [
            String::new(),
            id.to_string(),
            format!("{id}.gif"),
            format!("{id}.jpg.png"),
            format!("{}.jpg", id.simple()),
            format!("{}.jpg", id.to_string().to_uppercase()),
            format!("../{id}.jpg"),
            format!("{id}.jpg#1"),
            "..".to_owned(),
        ] {
            assert_eq!(FileKey::parse(&name), None, "{name}");
        }
    }

    #[test]
    fn only_folders_and_buckets_are_places() {
        let open = |url: &str| Media::open(url, []).err().map(|error| error.to_string());
        assert_eq!(open("file:///tmp/media"), None);
        for url in ["media", "ftp://host/media", "https://host/media", "gs://bucket", "memory:///"] {
            assert!(open(url).is_some(), "{url}");
        }
    }
}
