//! A connection to Meilisearch, with what the index needs of it.

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

/// Where Meilisearch is.
#[derive(Debug, Clone)]
pub struct MeilisearchSettings {
    /// Such as `http://127.0.0.1:7700`.
    pub url: String,
    /// The key that the server asks for.
    pub api_key: Option<String>,
    /// Names of indexes begin with it, so that shops can share a server.
    pub index_prefix: String,
    /// How long a search may take; then Postgres answers.
    pub search_timeout: Duration,
}

impl MeilisearchSettings {
    /// With the defaults of the programs.
    pub fn new(url: impl Into<String>, api_key: Option<String>) -> Self {
        Self {
            url: url.into(),
            api_key,
            index_prefix: "products".to_owned(),
            search_timeout: Duration::from_secs(1),
        }
    }
}

/// Why Meilisearch did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MeilisearchError {
    /// The server has no such index.
    #[error("there is no index {0}")]
    NoIndex(String),
    /// The server refused or failed.
    #[error("Meilisearch cannot be used: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A Meilisearch server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Meilisearch {
    pub(super) searching: Client<Http>,
    indexing: Client<Http>,
    index_prefix: String,
}

/// How long a request that writes may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to carry out a task.
const TASK_TIMEOUT: Duration = Duration::from_secs(100);

impl Meilisearch {
    /// Makes no request yet.
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

    /// Whether the server answers, within the time that a search has.
    pub async fn check(&self) -> Result<(), MeilisearchError> {
        self.searching.health().await.map(drop).map_err(|error| failed("", error))
    }

    /// Makes an empty index with all its settings.
    pub async fn create_index(&self, uid: &str) -> Result<(), MeilisearchError> {
        let created =
            self.indexing.create_index(uid, Some("id")).await.map_err(|error| failed(uid, error))?;
        self.wait(uid, created).await?;
        let set =
            self.indexing.index(uid).set_settings(&settings()).await.map_err(|error| failed(uid, error))?;
        self.wait(uid, set).await
    }

    /// Deletes an index; one that is not there is no error.
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

    /// How many documents an index has, once all that was sent is in it.
    pub async fn count(&self, uid: &str) -> Result<i64, MeilisearchError> {
        let stats = self.indexing.index(uid).get_stats().await.map_err(|error| failed(uid, error))?;
        Ok(i64::try_from(stats.number_of_documents).unwrap_or(i64::MAX))
    }

    /// Puts documents in and takes others out; both are done when it returns. Asked first whether the index is there,
    /// because Meilisearch would make one without settings.
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

/// Well below the 100 MB that Meilisearch takes by default, so that a request is sent within its time.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// The documents in as many parts as they have to be sent in.
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
