//! `commerce-worker jobs …`: how an operator manages jobs.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use commerce_core::db;
use commerce_core::ids::JobId;
use commerce_core::jobs::{self, JobFailure, JobFilter, JobRow, JobSort, JobState, Managed, kinds};
use commerce_core::page::Limit;
use commerce_core::request::Actor;
use diesel_async::AsyncPgConnection;

use crate::config::{JobsArgs, JobsCommand, SomeJobs};

/// Runs the command and writes readable output to `out`.
pub async fn manage(args: JobsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut conn = db::connect(&args.database.database_url).await?;
    match args.command {
        JobsCommand::List { filter, limit } => list(&mut conn, &filter.filter(), limit, out).await,
        JobsCommand::Show { id } => show(&mut conn, id, out).await,
        JobsCommand::Retry(SomeJobs { id: Some(id), .. }) => {
            jobs::retry(&mut conn, id).await?;
            Ok(writeln!(out, "Job {id} is due now.")?)
        }
        JobsCommand::Cancel(SomeJobs { id: Some(id), .. }) => {
            jobs::cancel(&mut conn, id).await?;
            Ok(writeln!(out, "Job {id} is removed.")?)
        }
        JobsCommand::Retry(SomeJobs { id: None, filter }) => {
            let managed = jobs::retry_matching(&mut conn, &filter.filter()).await?;
            told_of_many(managed, "due now", out)
        }
        JobsCommand::Cancel(SomeJobs { id: None, filter }) => {
            let managed = jobs::cancel_matching(&mut conn, &filter.filter()).await?;
            told_of_many(managed, "removed", out)
        }
        JobsCommand::Kinds => show_kinds(&mut conn, out).await,
        JobsCommand::Pause { kind } => {
            let is_new = jobs::pause(&mut conn, &kind, Actor::System).await?;
            let already = if is_new { "" } else { " already" };
            Ok(writeln!(out, "{kind} is{already} paused. Jobs that are running go on.")?)
        }
        JobsCommand::Resume { kind } => {
            let was_paused = jobs::resume(&mut conn, &kind).await?;
            Ok(writeln!(out, "{kind} {}.", if was_paused { "is resumed" } else { "was not paused" })?)
        }
    }
}

fn told_of_many(managed: Managed, what: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let Managed { jobs, more } = managed;
    let jobs = if jobs == 1 { "1 job is".to_owned() } else { format!("{jobs} jobs are") };
    let more = if more { " There may be more: do it again." } else { "" };
    Ok(writeln!(out, "{jobs} {what}.{more}")?)
}

async fn show_kinds(conn: &mut AsyncPgConnection, out: &mut impl Write) -> anyhow::Result<()> {
    let (states, pauses) = (jobs::queue_states(conn).await?, jobs::list_pauses(conn).await?);
    let rows = kinds::ALL.iter().map(|kind| {
        let count = |state: JobState| {
            let found = states.iter().find(|found| found.kind == *kind && found.state == state);
            found.map_or(0, |found| found.jobs).to_string()
        };
        let paused = pauses.iter().find(|pause| pause.kind == *kind);
        let paused = paused
            .map(|pause| format!("since {} by {}", pause.paused_at.format("%F %T UTC"), pause.paused_by));
        let [ready, leased, dead] = [JobState::Ready, JobState::Leased, JobState::Dead].map(count);
        [(*kind).to_owned(), ready, leased, dead, paused.unwrap_or_default()]
    });
    write_table(["KIND", "READY", "LEASED", "DEAD", "PAUSED"], &rows.collect::<Vec<_>>(), out)?;
    Ok(())
}

async fn list(
    conn: &mut AsyncPgConnection,
    filter: &JobFilter,
    limit: Limit,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let rows = jobs::list_jobs(conn, filter, JobSort::OldestFirst, limit, None).await?.data;
    let now = db::current_time(conn).await?;
    if rows.is_empty() {
        return Ok(writeln!(out, "No jobs.")?);
    }
    let cells = rows.iter().map(|job| {
        let error = job.last_error.as_deref().unwrap_or_default().replace(char::is_control, " ");
        [
            job.id.to_string(),
            job.kind.clone(),
            job.state.to_string(),
            format!("{}/{}", job.attempt, job.attempts_max),
            when(job, now),
            shorten(&error, 60),
        ]
    });
    write_table(["ID", "KIND", "STATE", "ATTEMPTS", "WHEN", "LAST ERROR"], &cells.collect::<Vec<_>>(), out)?;
    if rows.len() >= limit.rows() {
        writeln!(out, "… and perhaps more: see --limit")?;
    }
    Ok(())
}

async fn show(conn: &mut AsyncPgConnection, id: JobId, out: &mut impl Write) -> anyhow::Result<()> {
    let (found, now) = (jobs::find(conn, id).await?, db::current_time(conn).await?);
    let job = found.ok_or(jobs::ManageJobError::NotFound(id))?;
    writeln!(out, "id          {}", job.id)?;
    writeln!(out, "kind        {}", job.kind)?;
    writeln!(out, "state       {} ({})", job.state, when(&job, now))?;
    writeln!(out, "attempts    {} of {}", job.attempt, job.attempts_max)?;
    writeln!(out, "worker      {}", job.worker.as_deref().unwrap_or("-"))?;
    writeln!(out, "created     {}", job.created_at.format("%F %T UTC"))?;
    writeln!(out, "updated     {}", job.updated_at.format("%F %T UTC"))?;
    writeln!(out, "payload     {}", job.payload)?;
    writeln!(out, "last error  {}", job.last_error.as_deref().unwrap_or("-"))?;
    for JobFailure { attempt, at, worker, error } in &job.failures.0 {
        let worker = worker.as_deref().unwrap_or("?");
        writeln!(out, "  attempt {attempt} by {worker} at {}: {error}", at.format("%F %T UTC"))?;
    }
    Ok(())
}

/// The job's time and its meaning in the job's state.
fn when(job: &JobRow, now: DateTime<Utc>) -> String {
    let ahead = job.run_at - now;
    match job.state {
        JobState::Ready if ahead.num_seconds() > 0 => format!("in {}", span(ahead)),
        JobState::Ready => "due".to_owned(),
        JobState::Leased if ahead.num_seconds() >= 0 => {
            format!("at work: {}", job.worker.as_deref().unwrap_or("?"))
        }
        JobState::Leased => "lease lapsed".to_owned(),
        JobState::Dead => format!("died {} ago", span(now - job.updated_at)),
    }
}

/// The largest unit that gives at least one: `45 s`, `12 min`, `3 h`, `9 d`.
fn span(time: chrono::TimeDelta) -> String {
    match time.num_seconds() {
        seconds @ ..60 => format!("{} s", seconds.max(0)),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// Pads each column to its longest cell.
fn write_table<const N: usize>(
    titles: [&str; N],
    rows: &[[String; N]],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut widths = titles.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&titles.map(str::to_owned)).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let mut out = Vec::new();
        let rows = [["1".to_owned(), "ärger".to_owned()], ["22".to_owned(), "b".to_owned()]];
        write_table(["ID", "WHAT"], &rows, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ID  WHAT\n1   ärger\n22  b\n");
    }

    #[test]
    fn spans_are_told_in_the_largest_unit() {
        let told = [0, 59, 60, 7199, 86_400 * 3].map(|seconds| span(chrono::TimeDelta::seconds(seconds)));
        assert_eq!(told, ["0 s", "59 s", "1 min", "1 h", "3 d"]);
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }
}
