//! Mails written to a folder, for development: one `.eml` file a mail, which any mail program opens.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt as _;

use super::{Mail, Mailer, SendMailError};

/// Writes `<id of the mail>.eml`; whoever watches the folder never sees half a file.
#[derive(Debug, Clone)]
pub struct FolderMailer {
    folder: PathBuf,
}

impl FolderMailer {
    /// Creates the folder if it does not exist.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        // Mails contain codes and links, so other users of the machine must not read them.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        Ok(Self { folder })
    }

    /// Where the mails go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    async fn write(&self, mail: &Mail, message: &[u8]) -> io::Result<()> {
        // Two attempts at once must not write into one file: each has its own until the rename.
        let unfinished = self.folder.join(format!(".{}-{:08x}.part", mail.id, rand::random::<u32>()));
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&unfinished).await?;
        file.write_all(message).await?;
        file.sync_all().await?;
        tokio::fs::rename(&unfinished, self.folder.join(format!("{}.eml", mail.id))).await
    }
}

impl Mailer for FolderMailer {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendMailError>> {
        async move {
            let message = mail.to_message()?.formatted();
            let written = self.write(mail, &message).await;
            written.map_err(|error| SendMailError::Unavailable(format!("{}: {error}", self.folder.display())))
        }
        .boxed()
    }
}
