//! Whether the process lives, and whether it can do its work.

use commerce_core::db;
use diesel::OptionalExtension as _;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use poem::http::StatusCode;
use poem::web::{Data, Json};
use poem::{IntoResponse, Response, handler};
use serde::Serialize;

use crate::state::State;

#[handler]
pub fn alive() -> &'static str {
    "ok\n"
}

#[derive(Debug, Serialize)]
struct Readiness {
    /// `ready`, `degraded` (sells, but something waits) or `unavailable`.
    status: &'static str,
    database: String,
    migrations: String,
    worker: String,
}

/// 200 when the shop can sell. A worker that is away makes mails and expiry wait, so it is told, but is no reason to
/// take the shop out of service.
#[handler]
pub async fn ready(Data(state): Data<&State>) -> Response {
    let readiness = match state.pool.get().await {
        Err(error) => Readiness {
            status: "unavailable",
            database: format!("no connection: {error}"),
            migrations: "unknown".to_owned(),
            worker: "unknown".to_owned(),
        },
        Ok(mut conn) => look(&mut conn).await.unwrap_or_else(|error| Readiness {
            status: "unavailable",
            database: format!("does not answer: {error}"),
            migrations: "unknown".to_owned(),
            worker: "unknown".to_owned(),
        }),
    };
    let status =
        if readiness.status == "unavailable" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Json(readiness).with_status(status).into_response()
}

async fn look(conn: &mut AsyncPgConnection) -> Result<Readiness, diesel::result::Error> {
    let pending = db::pending_migrations(conn).await?;
    if !pending.is_empty() {
        return Ok(Readiness {
            status: "unavailable",
            database: "ok".to_owned(),
            migrations: format!("{} pending: run `commerce-api migrate`", pending.len()),
            worker: "unknown".to_owned(),
        });
    }
    let overdue = job_overdue(conn).await?;
    let worker = match &overdue {
        Some(kind) => {
            format!("a job of kind {kind} has waited for more than a minute: is commerce-worker running?")
        }
        None => "ok".to_owned(),
    };
    let status = if overdue.is_some() { "degraded" } else { "ready" };
    Ok(Readiness { status, database: "ok".to_owned(), migrations: "ok".to_owned(), worker })
}

/// The kind of a job that should have run a minute ago.
async fn job_overdue(conn: &mut AsyncPgConnection) -> Result<Option<String>, diesel::result::Error> {
    use commerce_core::schema::jobs;
    use diesel::ExpressionMethods as _;
    use diesel::QueryDsl as _;
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
