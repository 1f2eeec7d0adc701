use clap::Args;
use commerce_core::search::MeilisearchSettings;

/// Who finds products by words.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchSettings {
    /// Meilisearch, such as http://127.0.0.1:7700; without one, and while it does not answer, Postgres searches
    #[arg(long, env = "MEILISEARCH_URL")]
    meilisearch_url: Option<String>,

    /// A key of Meilisearch. commerce-api searches with it; commerce-worker also writes documents and settings, and makes and
    /// deletes indexes
    #[arg(long, env = "MEILISEARCH_API_KEY", hide_env_values = true)]
    meilisearch_api_key: Option<String>,
}

impl SearchSettings {
    /// How Meilisearch is reached, if the shop has one.
    pub fn meilisearch(&self) -> Option<MeilisearchSettings> {
        let url = self.meilisearch_url.as_deref().filter(|url| !url.is_empty())?;
        let key = self.meilisearch_api_key.clone().filter(|key| !key.is_empty());
        Some(MeilisearchSettings::new(url, key))
    }
}
