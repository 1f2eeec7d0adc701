//! `/admin/jobs`: what waits, runs, failed and died, and what staff do about it.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Author, Subject};
use commerce_core::db::Retryable;
use commerce_core::ids::JobId;
use commerce_core::jobs::{
    self, JobFilter, JobRow, JobSort, JobState as State_, ListJobsError, ManageJobError, Managed,
};
use commerce_core::page::Limit;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::answer::{List, NoContent, Okay, Reply, twenty};
use crate::http::auth::{Can, OperationsRead, OperationsWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, Missing, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Jobs(pub State);

#[OpenApi(tag = "Tag::Operations")]
impl Jobs {
    /// List jobs
    ///
    /// Lists what waits, runs and is dead. A job that is done has no row.
    #[oai(path = "/admin/jobs", method = "get", operation_id = "list_jobs")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        staff: Can<OperationsRead>,
        state: Query<Option<JobState>>,
        #[oai(validator(max_length = 100))] kind: Query<Option<String>>,
        /// Part of the last error
        #[oai(validator(max_length = 254))]
        error: Query<Option<String>>,
        /// Whether the last attempt failed. Such a job is dead, or waits for another attempt
        failed: Query<Option<bool>>,
        /// Only jobs that were enqueued before this time
        created_before: Query<Option<DateTime<Utc>>>,
        /// Newest first by default
        sort: Query<Option<JobSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Job>>, Refused<ListJobsError>> {
        let filter = JobFilter {
            state: state.0.map(Into::into),
            kind: kind.0,
            error: error.0.filter(|text| !text.trim().is_empty()),
            failed: failed.0,
            created_before: created_before.0,
        };
        let sort = sort.0.map_or(JobSort::NewestFirst, Into::into);
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = jobs::list_jobs(&mut conn, &filter, sort, limit, cursor.0.as_deref()).await?;
        // An error may name a customer's address.
        staff.note_read(&mut conn).await?;
        Ok(Okay::page(page.map(Job::from)))
    }

    /// Get a job
    ///
    /// Returns the job with the error of each failed attempt.
    #[oai(path = "/admin/jobs/:id", method = "get", operation_id = "get_job")]
    async fn get(&self, staff: Can<OperationsRead>, id: Path<Uuid>) -> Result<Okay<Job>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let job = jobs::find(&mut conn, JobId(id.0)).await?.ok_or(Missing("job"))?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::new(Reply::new(Job::from(job))))
    }

    /// Retry a job
    ///
    /// Makes a dead or waiting job due now, with all its attempts ahead of it.
    #[oai(path = "/admin/jobs/:id/retry", method = "post", operation_id = "retry_job")]
    async fn retry(
        &self,
        staff: Can<OperationsWrite>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
    ) -> Result<Okay<Job>, Refused<ManageError>> {
        let request = key.request(&staff, b"");
        let (id, author) = (JobId(id.0), staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::Job(id);
            let before = audit_log::snapshot(conn, subject).await?;
            jobs::retry(conn, id).await?;
            audit_log::record(conn, &author, "retry_job", subject, before).await?;
            let job = jobs::find(conn, id).await?.ok_or(ManageJobError::NotFound(id))?;
            Ok::<_, ManageError>(Job::from(job))
        };
        self.0.write("retry_job", request, effect).await
    }

    /// Cancel a job
    ///
    /// Removes a dead or waiting job. Its work will not be done.
    #[oai(path = "/admin/jobs/:id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel(
        &self,
        staff: Can<OperationsWrite>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
    ) -> Result<NoContent, Refused<ManageError>> {
        let request = key.request(&staff, b"");
        let (id, author) = (JobId(id.0), staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::Job(id);
            let before = audit_log::snapshot(conn, subject).await?;
            jobs::cancel(conn, id).await?;
            audit_log::record(conn, &author, "cancel_job", subject, before).await?;
            Ok::<_, ManageError>(crate::http::answer::NOTHING)
        };
        self.0.write("cancel_job", request, effect).await
    }

    /// Retry jobs
    ///
    /// Makes dead and waiting jobs due now that match all of the given fields, at most 1,000 of them, the oldest first.
    /// `more` says whether there may be others. Then send it again.
    #[oai(path = "/admin/jobs/retry", method = "post", operation_id = "retry_jobs")]
    async fn retry_many(
        &self,
        staff: Can<OperationsWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<JobsRequest>,
    ) -> Result<Okay<ManagedJobs>, Refused<OnlyDatabase>> {
        let (request, author) = (key.request(&staff, body.raw()), staff.author());
        let filter = body.value.filter();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let managed = jobs::retry_matching(conn, &filter).await?;
            note_many(conn, &author, "retry_jobs", &filter, managed).await?;
            Ok::<_, OnlyDatabase>(ManagedJobs::from(managed))
        };
        self.0.write("retry_jobs", request, effect).await
    }

    /// Cancel jobs
    ///
    /// Removes dead and waiting jobs that match all of the given fields, at most 1,000 of them, the oldest first. Their
    /// work will not be done. `more` says whether there may be others. Then send it again.
    #[oai(path = "/admin/jobs/cancel", method = "post", operation_id = "cancel_jobs")]
    async fn cancel_many(
        &self,
        staff: Can<OperationsWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<JobsRequest>,
    ) -> Result<Okay<ManagedJobs>, Refused<OnlyDatabase>> {
        let (request, author) = (key.request(&staff, body.raw()), staff.author());
        let filter = body.value.filter();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let managed = jobs::cancel_matching(conn, &filter).await?;
            note_many(conn, &author, "cancel_jobs", &filter, managed).await?;
            Ok::<_, OnlyDatabase>(ManagedJobs::from(managed))
        };
        self.0.write("cancel_jobs", request, effect).await
    }
}

async fn note_many(
    conn: &mut AsyncPgConnection,
    author: &Author,
    action: &'static str,
    filter: &JobFilter,
    managed: Managed,
) -> Result<(), QueryError> {
    let JobFilter { state, kind, error, .. } = filter;
    let done = json!({ "state": state, "kind": kind, "by_error": error.is_some(), "jobs": managed.jobs });
    audit_log::record_facts(conn, author, action, Subject::Jobs, None, Some(done)).await
}

/// The state of a job. A job that is done has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "State_")]
pub enum JobState {
    /// It waits for its time.
    Ready,
    /// A worker runs it.
    Leased,
    /// It has failed for good. Only a person can retry it.
    Dead,
}

/// The sort order of jobs. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "JobSort", remote = "JobSort")]
pub enum JobSorting {
    #[oai(rename = "created_at")]
    OldestFirst,
    #[oai(rename = "-created_at")]
    NewestFirst,
    /// As they are due
    #[oai(rename = "run_at")]
    DueFirst,
}

/// Which jobs. Each field that is given must match.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct JobsRequest {
    pub state: IdleJobState,
    #[oai(validator(min_length = 1, max_length = 100))]
    pub kind: Option<String>,
    /// Part of the last error.
    #[oai(validator(min_length = 1, max_length = 254))]
    pub error: Option<String>,
}

/// The state of a job that does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum IdleJobState {
    Ready,
    Dead,
}

impl JobsRequest {
    fn filter(self) -> JobFilter {
        let state = match self.state {
            IdleJobState::Ready => State_::Ready,
            IdleJobState::Dead => State_::Dead,
        };
        JobFilter { state: Some(state), kind: self.kind, error: self.error, ..JobFilter::default() }
    }
}

/// How many jobs were changed.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct ManagedJobs {
    pub jobs: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl From<Managed> for ManagedJobs {
    fn from(Managed { jobs, more }: Managed) -> Self {
        Self { jobs: u64::try_from(jobs).unwrap_or(u64::MAX), more }
    }
}

/// A job.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub state: JobState,
    /// What it is about, such as ids.
    pub payload: Value,
    /// When it is due, or when the lease of its worker lapses.
    pub run_at: DateTime<Utc>,
    /// The attempts that were begun.
    pub attempt: i32,
    /// After this many attempts it is dead.
    pub attempts_max: i32,
    /// The worker that has it, or had it last.
    pub worker: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The last twenty attempts that failed, oldest first.
    pub failures: Vec<JobFailure>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A failed attempt.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobFailure {
    /// 1 for the first attempt. After a retry by a person it begins anew.
    pub attempt: i32,
    pub at: DateTime<Utc>,
    pub worker: Option<String>,
    pub error: String,
}

impl From<JobRow> for Job {
    fn from(job: JobRow) -> Self {
        let failures = job.failures.0.into_iter().map(|failure| {
            let jobs::JobFailure { attempt, at, worker, error } = failure;
            JobFailure { attempt, at, worker, error }
        });
        Self {
            id: job.id.0,
            kind: job.kind,
            state: job.state.into(),
            payload: job.payload,
            run_at: job.run_at,
            attempt: job.attempt,
            attempts_max: job.attempts_max,
            worker: job.worker,
            last_error: job.last_error,
            failures: failures.collect(),
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

/// Why a job was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    #[error(transparent)]
    Manage(#[from] ManageJobError),
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ManageError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Manage(ManageJobError::Database(error)) | Self::Database(error) => error.is_retryable(),
            Self::Manage(_) => false,
        }
    }
}

impl Refusal for ManageError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::JobRunning];

    fn problem(self) -> Problem {
        match self {
            Self::Manage(ManageJobError::NotFound(_)) => Problem::not_found("job"),
            Self::Manage(ManageJobError::Leased(_)) => {
                Problem::new(Code::JobRunning, Code::JobRunning.meaning())
            }
            Self::Manage(ManageJobError::Database(error)) | Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ListJobsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

impl Example for JobsRequest {
    fn example() -> Self {
        Self { state: IdleJobState::Dead, kind: Some("send_email".to_owned()), error: None }
    }
}

impl Example for ManagedJobs {
    fn example() -> Self {
        Self { jobs: 12, more: false }
    }
}

impl Example for JobFailure {
    fn example() -> Self {
        let error = "the mail could not be handed over: connection refused".to_owned();
        Self { attempt: 1, at: example_time(), worker: Some("worker-1".to_owned()), error }
    }
}

impl Example for Job {
    fn example() -> Self {
        let failure = JobFailure::example();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4ba1),
            kind: "send_email".to_owned(),
            state: JobState::Ready,
            payload: json!({ "email_id": "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b20" }),
            run_at: example_time(),
            attempt: 1,
            attempts_max: 12,
            worker: failure.worker.clone(),
            last_error: Some(failure.error.clone()),
            failures: vec![failure],
            created_at: example_time(),
            updated_at: example_time(),
        }
    }
}
