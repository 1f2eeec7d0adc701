//! A connection to Meilisearch, with the operations that the index needs.

use std::time::{Duration, Instant};

use meilisearch_sdk::client::Client;
use meilisearch_sdk::documents::DocumentsQuery;
use meilisearch_sdk::errors::{Error, ErrorCode};
use meilisearch_sdk::task_info::TaskInfo;
use meilisearch_sdk::tasks::Task;
use uuid::Uuid;

use super::document::Document;
use super::http::Http;
use super::settings::settings;

/// How Meilisearch is reached.
#[derive(Debug, Clone)]
pub struct MeilisearchSettings {
    /// The URL, such as `http://127.0.0.1:7700`.
    pub url: String,
    /// The API key of the server.
    pub api_key: Option<String>,
    /// The prefix of index names, so that shops can share a server.
    pub index_prefix: String,
    /// The longest time for a search. After that Postgres answers.
    pub search_timeout: Duration,
}

impl MeilisearchSettings {
    /// With the default values of the programs.
    pub fn new(url: impl Into<String>, api_key: Option<String>) -> Self {
        Self {
            url: url.into(),
            api_key,
            index_prefix: "products".to_owned(),
            search_timeout: Duration::from_secs(1),
        }
    }
}

/// Why Meilisearch did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum MeilisearchError {
    /// The server has no such index.
    #[error("there is no index {0}")]
    NoIndex(String),
    /// The server refused or failed.
    #[error("Meilisearch cannot be used: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A Meilisearch server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Meilisearch {
    pub(super) searching: Client<Http>,
    indexing: Client<Http>,
    index_prefix: String,
}

/// The longest time for a request that writes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for a task of the server.
const TASK_TIMEOUT: Duration = Duration::from_secs(100);

impl Meilisearch {
    /// Sends no request yet.
    pub fn new(settings: &MeilisearchSettings) -> Result<Self, MeilisearchError> {
        let url = settings.url.trim_end_matches('/');
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(MeilisearchError::Failed(format!("{url} is not an http(s) address").into()));
        }
        let client = |timeout| -> Result<Client<Http>, MeilisearchError> {
            let http = Http::new(settings.api_key.as_deref(), timeout)
                .map_err(|error| MeilisearchError::Failed(error.into()))?;
            Ok(Client::new_with_client(url, settings.api_key.clone(), http))
        };
        Ok(Self {
            searching: client(settings.search_timeout)?,
            indexing: client(WRITE_TIMEOUT)?,
            index_prefix: settings.index_prefix.clone(),
        })
    }

    /// A name that no index had before.
    pub fn new_uid(&self) -> String {
        format!("{}_{}", self.index_prefix, Uuid::now_v7().simple())
    }

    /// Whether the server answers within the time for a search.
    pub async fn check(&self) -> Result<(), MeilisearchError> {
        self.searching.health().await.map(drop).map_err(|error| failed("", error))
    }

    /// Creates an empty index with all its settings.
    pub async fn create_index(&self, uid: &str) -> Result<(), MeilisearchError> {
        let created =
            self.indexing.create_index(uid, Some("id")).await.map_err(|error| failed(uid, error))?;
        self.wait(uid, created).await?;
        let set =
            self.indexing.index(uid).set_settings(&settings()).await.map_err(|error| failed(uid, error))?;
        self.wait(uid, set).await
    }

    /// Deletes an index. A missing index is not an error.
    pub async fn delete_index(&self, uid: &str) -> Result<(), MeilisearchError> {
        let outcome = match self.indexing.delete_index(uid).await.map_err(|error| failed(uid, error)) {
            Ok(task) => self.wait(uid, task).await,
            Err(error) => Err(error),
        };
        match outcome {
            Err(MeilisearchError::NoIndex(_)) => Ok(()),
            outcome => outcome,
        }
    }

    /// The number of documents in an index, after all that was sent has been processed.
    pub async fn count(&self, uid: &str) -> Result<i64, MeilisearchError> {
        let stats = self.indexing.index(uid).get_stats().await.map_err(|error| failed(uid, error))?;
        Ok(i64::try_from(stats.number_of_documents).unwrap_or(i64::MAX))
    }

    /// Adds and removes documents, and returns when both are done. It first checks that the index exists,
    /// because Meilisearch would create one without settings.
    pub async fn write(&self, uid: &str, put: &[Document], remove: &[Uuid]) -> Result<(), MeilisearchError> {
        self.count(uid).await?;
        let index = self.indexing.index(uid);
        let mut tasks = Vec::new();
        for put in in_requests(put)? {
            tasks.push(index.add_or_replace(put, Some("id")).await.map_err(|error| failed(uid, error))?);
        }
        if !remove.is_empty() {
            tasks.push(index.delete_documents(remove).await.map_err(|error| failed(uid, error))?);
        }
        for task in tasks {
            self.wait(uid, task).await?;
        }
        Ok(())
    }

    /// All documents of an index.
    pub async fn documents(&self, uid: &str) -> Result<Vec<serde_json::Value>, MeilisearchError> {
        const PAGE: usize = 1000;
        let index = self.indexing.index(uid);
        let mut documents = Vec::new();
        loop {
            let mut query = DocumentsQuery::new(&index);
            query.with_offset(documents.len()).with_limit(PAGE);
            let page = index.get_documents_with::<serde_json::Value>(&query).await;
            let page = page.map_err(|error| failed(uid, error))?.results;
            let is_last = page.len() < PAGE;
            documents.extend(page);
            if is_last {
                return Ok(documents);
            }
        }
    }

    async fn wait(&self, uid: &str, task: TaskInfo) -> Result<(), MeilisearchError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(2);
        while begun.elapsed() < TASK_TIMEOUT {
            match self.indexing.get_task(&task).await.map_err(|error| failed(uid, error))? {
                Task::Succeeded { .. } => return Ok(()),
                task @ Task::Failed { .. } => {
                    return Err(failed(uid, Error::Meilisearch(task.unwrap_failure())));
                }
                Task::Enqueued { .. } | Task::Processing { .. } => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        Err(MeilisearchError::Failed(format!("task {} did not end in time", task.task_uid).into()))
    }
}

/// Well below the default limit of Meilisearch, 100 MB, so that a request is sent in time.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// Splits the documents into requests.
fn in_requests(documents: &[Document]) -> Result<Vec<&[Document]>, MeilisearchError> {
    let mut parts = Vec::new();
    let (mut rest, mut length, mut bytes) = (documents, 0, 0);
    for document in documents {
        let written = serde_json::to_vec(document).map_err(|error| MeilisearchError::Failed(error.into()))?;
        if length > 0 && bytes + written.len() > REQUEST_BYTES_MAX {
            let (part, others) = rest.split_at(length);
            parts.push(part);
            (rest, length, bytes) = (others, 0, 0);
        }
        (length, bytes) = (length + 1, bytes + written.len());
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    Ok(parts)
}

pub(super) fn failed(uid: &str, error: Error) -> MeilisearchError {
    match error {
        Error::Meilisearch(error) if error.error_code == ErrorCode::IndexNotFound => {
            MeilisearchError::NoIndex(uid.to_owned())
        }
        // The cause says more than the error: "connection refused" behind "error sending request".
        Error::Other(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            MeilisearchError::Failed(text.into())
        }
        error => MeilisearchError::Failed(error.into()),
    }
}
