use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use commerce_core::catalog::image::Media;

/// The store for uploaded images.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaSettings {
    /// Where uploaded images are stored, the same for API and worker: file:///folder, or s3://bucket/prefix
    /// with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for servers other than Amazon's,
    /// AWS_ENDPOINT in the environment [default: the folder `media` in the working directory]
    #[arg(long, env = "COMMERCE_MEDIA_URL")]
    media_url: Option<String>,
}

impl MediaSettings {
    /// The store. It is not contacted yet.
    pub fn media(&self) -> anyhow::Result<Media> {
        let media = match self.media_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => Media::open(url, std::env::vars().filter(|(name, _)| name.starts_with("AWS_"))),
            None => Media::in_folder(Path::new("media")),
        };
        media.context("COMMERCE_MEDIA_URL")
    }
}
