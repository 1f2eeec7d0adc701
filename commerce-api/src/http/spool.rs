//! Writes a large body to a temporary file while it arrives, so that it needs disk space and not memory.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::sync::Arc;

use futures_util::StreamExt as _;
use poem::{Body, RequestBody};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::http::problem::{Code, Problem};

/// A body in a file without a name, which disappears with its last reader.
#[derive(Debug, Clone)]
pub struct Spooled {
    file: Arc<File>,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
}

impl Spooled {
    /// Reads the whole body, unless it is larger than this.
    pub async fn take(body: &mut RequestBody, bytes_max: u64) -> Result<Self, Problem> {
        let body: Body = body.take().map_err(Problem::internal)?;
        let mut chunks = body.into_bytes_stream();
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(Problem::internal)?);
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|_| Problem::new(Code::MalformedBody, "The body arrived incomplete."))?;
            bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if bytes > bytes_max {
                let detail = format!("The body has more than {bytes_max} bytes.");
                return Err(Problem::new(Code::BodyTooLarge, detail));
            }
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(Problem::internal)?;
        }
        file.flush().await.map_err(Problem::internal)?;
        Ok(Self { file: Arc::new(file.into_std().await), digest: digest.finalize().into() })
    }

    /// The body from its beginning. Only one reader at a time, because readers share the position in the
    /// file.
    pub fn read(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}
