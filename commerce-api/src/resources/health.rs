//! Whether the process is alive, and whether it can do its work.

use commerce_core::db::{self, PooledConnection};
use commerce_core::jobs::Job as _;
use commerce_core::jobs::kinds::SendEmail;
use commerce_core::schema::jobs;
use commerce_core::search::EngineError;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use poem::http::StatusCode;
use poem::web::{Data, Json};
use poem::{IntoResponse, Response, handler};
use serde::Serialize;

use crate::http::state::State;

#[handler]
pub fn alive() -> &'static str {
    "ok\n"
}

#[derive(Debug, Serialize)]
struct Readiness {
    /// `ready`, `degraded` (the shop sells, but something is delayed or limited) or `unavailable`.
    status: &'static str,
    database: String,
    migrations: String,
    worker: String,
    mail: String,
    search: String,
}

/// Answers 200 if the shop can sell, and nothing else. Anybody can ask.
#[handler]
pub async fn ready(Data(state): Data<&State>) -> Response {
    let Readiness { status, .. } = examine(state).await;
    Json(serde_json::json!({ "status": status })).with_status(status_code(status)).into_response()
}

/// The same with all findings. If a worker, the mail server or the search engine is down, mails and expiry are
/// late or search is worse. The answer tells so, but that is no reason to take the shop out of service.
#[handler]
pub async fn ready_in_detail(Data(state): Data<&State>) -> Response {
    let readiness = examine(state).await;
    let status = status_code(readiness.status);
    Json(readiness).with_status(status).into_response()
}

fn status_code(status: &str) -> StatusCode {
    if status == "unavailable" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn examine(state: &State) -> Readiness {
    match state.pool.get().await {
        Err(error) => Readiness { database: logged("no connection", &error), ..Readiness::unknown() },
        Ok(conn) => look(conn, state).await.unwrap_or_else(|error| Readiness {
            database: logged("does not answer", &error),
            ..Readiness::unknown()
        }),
    }
}

/// Causes name hosts, databases and users, so they go to the log.
fn logged(finding: &str, cause: &dyn std::fmt::Display) -> String {
    tracing::warn!(%cause, "not ready: {finding}");
    format!("{finding}; the log tells why")
}

async fn look(mut conn: PooledConnection, state: &State) -> Result<Readiness, diesel::result::Error> {
    let pending = db::pending_migrations(&mut conn).await?;
    if !pending.is_empty() {
        return Ok(Readiness {
            database: "ok".to_owned(),
            migrations: format!("{} pending: run `commerce-api migrate`", pending.len()),
            ..Readiness::unknown()
        });
    }
    let overdue = job_overdue(&mut conn).await?;
    let worker = match &overdue {
        Some(kind) => {
            format!("a job of kind {kind} has waited for more than a minute: is commerce-worker running?")
        }
        None => "ok".to_owned(),
    };
    let mail_waits = mail_waits(&mut conn).await?;
    let mail = if mail_waits {
        "a mail could not be sent and is tried again: `commerce-worker jobs list` tells why".to_owned()
    } else {
        "ok".to_owned()
    };
    // The probe uses a connection of its own, so that it does not hold up another's.
    drop(conn);
    let searches = state.search.check().await;
    let degraded = overdue.is_some() || mail_waits || searches.is_err();
    let search = match searches {
        Ok(()) => "ok".to_owned(),
        Err(EngineError::NoIndex) => format!("Postgres searches: {}", EngineError::NoIndex),
        Err(error) => logged("Postgres searches: the search engine does not answer", &error),
    };
    let status = if degraded { "degraded" } else { "ready" };
    Ok(Readiness { status, database: "ok".to_owned(), migrations: "ok".to_owned(), worker, mail, search })
}

impl Readiness {
    fn unknown() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            status: "unavailable",
            database: unknown(),
            migrations: unknown(),
            worker: unknown(),
            mail: unknown(),
            search: unknown(),
        }
    }
}

/// Whether a mail has failed and waits for its next attempt.
async fn mail_waits(conn: &mut AsyncPgConnection) -> Result<bool, diesel::result::Error> {
    let failed = jobs::table
        .filter(jobs::kind.eq(SendEmail::KIND))
        .filter(jobs::state.eq("ready"))
        .filter(jobs::last_error.is_not_null());
    diesel::select(diesel::dsl::exists(failed)).get_result(conn).await
}

/// The kind of a job that is overdue by a minute or more, if there is one.
async fn job_overdue(conn: &mut AsyncPgConnection) -> Result<Option<String>, diesel::result::Error> {
    jobs::table
        .filter(jobs::state.ne("dead"))
        .filter(
            (jobs::run_at + diesel::pg::data_types::PgInterval::from_microseconds(60_000_000))
                .lt(db::clock()),
        )
        .select(jobs::kind)
        .first(conn)
        .await
        .optional()
}
