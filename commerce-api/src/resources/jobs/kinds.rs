//! `/admin/job-kinds`: how many jobs of each kind there are, and pausing a kind.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::jobs::{self, JobState, kinds};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::json;

use crate::http::answer::{Okay, Reply};
use crate::http::auth::{Can, Credential as _, OperationsRead, OperationsWrite};
use crate::http::body::Body;
use crate::http::problem::{Missing, OnlyDatabase, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct JobKinds(pub State);

#[OpenApi(tag = "Tag::Operations")]
impl JobKinds {
    /// List kinds of jobs
    ///
    /// Tells of each kind how many jobs wait, run and are dead, and whether the kind is paused.
    #[oai(path = "/admin/job-kinds", method = "get", operation_id = "list_job_kinds")]
    async fn list(&self, _staff: Can<OperationsRead>) -> Result<Okay<JobKindList>, Refused<OnlyDatabase>> {
        let mut conn = self.0.conn().await?;
        let (states, pauses) = (jobs::queue_states(&mut conn).await?, jobs::list_pauses(&mut conn).await?);
        let data = kinds::ALL.iter().map(|kind| JobKind::of(kind, &states, &pauses));
        Ok(Okay::new(JobKindList { data: data.collect() }))
    }

    /// Pause or resume a kind of jobs
    ///
    /// No job of a paused kind is begun. Jobs that are running go on, and new ones wait.
    #[oai(path = "/admin/job-kinds/:kind", method = "put", operation_id = "set_job_kind")]
    async fn set(
        &self,
        staff: Can<OperationsWrite>,
        kind: Path<String>,
        body: Body<JobKindRequest>,
    ) -> Result<Okay<JobKind>, Refused<Missing>> {
        let known = kinds::ALL.iter().find(|known| **known == kind.0).copied();
        let (kind, author, actor) = (known.ok_or(Missing("kind of jobs"))?, staff.author(), staff.actor());
        let paused = body.value.paused;
        let set = async move |conn: &mut AsyncPgConnection| {
            let is_changed = match paused {
                true => jobs::pause(conn, kind, actor).await?,
                false => jobs::resume(conn, kind).await?,
            };
            if is_changed {
                let facts = |paused: bool| Some(json!({ "kind": kind, "paused": paused }));
                let (before, after) = (facts(!paused), facts(paused));
                audit_log::record_facts(conn, &author, "set_job_kind", Subject::Jobs, before, after).await?;
            }
            let (states, pauses) = (jobs::queue_states(conn).await?, jobs::list_pauses(conn).await?);
            Ok::<_, OnlyDatabase>(JobKind::of(kind, &states, &pauses))
        };
        Ok(Okay::new(Reply::new(self.0.transaction("set_job_kind", set).await?)))
    }
}

/// All kinds of jobs.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct JobKindList {
    pub data: Vec<JobKind>,
}

/// A kind of jobs.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobKind {
    pub kind: String,
    /// Jobs that wait for their time.
    pub ready: i64,
    /// Jobs that run.
    pub leased: i64,
    /// Jobs that have failed for good.
    pub dead: i64,
    /// How long the oldest job has been due, in milliseconds. Absent if none is due.
    pub overdue_ms: Option<i64>,
    pub paused: bool,
    pub paused_at: Option<DateTime<Utc>>,
    /// `user:<id>` or `system`.
    pub paused_by: Option<String>,
}

impl JobKind {
    fn of(kind: &str, states: &[jobs::QueueState], pauses: &[jobs::JobPause]) -> Self {
        let own = || states.iter().filter(|found| found.kind == kind);
        let count = |state| own().find(|found| found.state == state).map_or(0, |found| found.jobs);
        let pause = pauses.iter().find(|pause| pause.kind == kind);
        Self {
            kind: kind.to_owned(),
            ready: count(JobState::Ready),
            leased: count(JobState::Leased),
            dead: count(JobState::Dead),
            overdue_ms: own().filter_map(|found| found.overdue_ms).max(),
            paused: pause.is_some(),
            paused_at: pause.map(|pause| pause.paused_at),
            paused_by: pause.map(|pause| pause.paused_by.clone()),
        }
    }
}

/// Whether a kind is paused.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct JobKindRequest {
    pub paused: bool,
}

impl Example for JobKindList {
    fn example() -> Self {
        Self { data: vec![JobKind::example()] }
    }
}

impl Example for JobKind {
    fn example() -> Self {
        Self {
            kind: "send_email".to_owned(),
            ready: 4,
            leased: 1,
            dead: 0,
            overdue_ms: Some(120),
            paused: false,
            paused_at: None,
            paused_by: None,
        }
    }
}

impl Example for JobKindRequest {
    fn example() -> Self {
        Self { paused: true }
    }
}
