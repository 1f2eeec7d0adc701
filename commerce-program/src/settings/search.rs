use clap::Args;
use commerce_core::search::MeilisearchSettings;

/// The search engine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchSettings {
    /// URL of Meilisearch, such as http://127.0.0.1:7700. Without it, and while it does not answer, Postgres
    /// searches
    #[arg(long, env = "MEILISEARCH_URL")]
    meilisearch_url: Option<String>,

    /// API key of Meilisearch. commerce-api searches with it. commerce-worker also writes documents and
    /// settings, and creates and deletes indexes
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
