//! What a worker costs while it has nothing to do, how soon it begins a job, and how many it does.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use commerce_core::db;
use commerce_core::ids::EmailId;
use commerce_core::jobs::{self, Waker, kinds::SendEmail};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Int4};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::processes;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An empty database on a server of this machine
    #[arg(long)]
    database_url: String,
    /// The release binary of commerce-worker
    #[arg(long)]
    worker: PathBuf,
    /// How long the idle worker is watched
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many jobs are begun one by one; a hundred times as many are then done at once
    #[arg(long, default_value_t = 200)]
    jobs: u32,
}

/// When each job was committed, begun and done.
const TIMES: &str = "
    CREATE TABLE bench_jobs (id uuid PRIMARY KEY, committed timestamptz, begun timestamptz, done timestamptz);
    CREATE FUNCTION bench_times() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            UPDATE bench_jobs SET done = clock_timestamp() WHERE id = OLD.id;
        ELSE
            INSERT INTO bench_jobs (id, begun) VALUES (NEW.id, clock_timestamp())
            ON CONFLICT (id) DO UPDATE SET begun = excluded.begun;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER bench_times AFTER DELETE OR UPDATE ON commerce.jobs FOR EACH ROW EXECUTE FUNCTION bench_times();";

pub async fn run(arguments: &Arguments) -> Result<()> {
    db::migrate(&arguments.database_url).await?;
    let mut conn = db::connect(&arguments.database_url).await?;
    conn.batch_execute(TIMES).await?;
    let waker = Waker::start(db::pool(&arguments.database_url, &db::PoolSettings::default())?);
    let mut worker = start(&arguments.worker, &arguments.database_url)?;
    let process = worker.id().context("the worker has ended")?;
    wait_until_it_works(&mut conn, &waker).await?;

    let idle = watch_idle(&mut conn, process, Duration::from_secs(arguments.seconds)).await?;
    println!("\nA worker as it is shipped, on a server of this machine.\n");
    println!("| what | figure |\n|---|--:|");
    println!("| idle: CPU of the worker, of one core | {:.2} % |", idle.worker_percent);
    println!("| idle: CPU of its Postgres connections | {:.2} % |", idle.postgres_percent);
    println!("| idle: statements a minute | {:.0} |", idle.statements_per_minute);

    let mut pick_ups = measure_pick_ups(&mut conn, &waker, arguments.jobs).await?;
    pick_ups.sort_by(f64::total_cmp);
    let percentile =
        |share: f64| pick_ups.get((pick_ups.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    println!("| pick-up, from commit to claim: p50 | {:.1} ms |", percentile(0.5));
    println!("| pick-up: p99 | {:.1} ms |", percentile(0.99));

    let per_second = measure_flow(&mut conn, &waker, arguments.jobs * 100).await?;
    println!("| jobs a second, each with its own transaction | {per_second:.0} |");
    worker.kill().await?;
    Ok(())
}

fn start(worker: &Path, database_url: &str) -> Result<Child> {
    let process = Command::new(worker)
        .env("DATABASE_URL", database_url)
        .env("COMMERCE_SECRET_KEY", "bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaC1mb3ItYS1iZW5jaA==")
        .env("COMMERCE_MAIL_DIR", std::env::temp_dir().join("commerce-bench-mail"))
        .env("RUST_LOG", "warn")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    process.with_context(|| format!("{} does not start", worker.display()))
}

/// A job about a mail that is not there ends at once: what is measured is the way to it.
async fn enqueue(conn: &mut AsyncPgConnection) -> Result<()> {
    let id = jobs::enqueue(conn, &SendEmail { email_id: EmailId::new() }).await?;
    let committed = "INSERT INTO bench_jobs (id, committed) VALUES ($1, clock_timestamp())
                     ON CONFLICT (id) DO UPDATE SET committed = excluded.committed";
    diesel::sql_query(committed).bind::<diesel::sql_types::Uuid, _>(id).execute(conn).await?;
    Ok(())
}

async fn wait_until_it_works(conn: &mut AsyncPgConnection, waker: &Waker) -> Result<()> {
    enqueue(conn).await?;
    waker.wake();
    wait_until_done(conn).await?;
    // It listens by now, and its first looks are over.
    sleep(Duration::from_secs(3)).await;
    Ok(())
}

async fn wait_until_done(conn: &mut AsyncPgConnection) -> Result<()> {
    let begun = Instant::now();
    while diesel::sql_query("SELECT 1 FROM commerce.jobs LIMIT 1").execute(conn).await? > 0 {
        ensure!(begun.elapsed() < Duration::from_secs(120), "jobs are left");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

struct Idle {
    worker_percent: f64,
    postgres_percent: f64,
    statements_per_minute: f64,
}

async fn watch_idle(conn: &mut AsyncPgConnection, worker: u32, time: Duration) -> Result<Idle> {
    let backends = backends(conn).await?;
    // A connection that has ended meanwhile costs nothing more.
    let cpu = |process: u32| processes::cpu(process).unwrap_or_default();
    let of_backends = || backends.iter().map(|backend| cpu(*backend)).sum::<Duration>();
    let before = (processes::cpu(worker)?, of_backends(), transactions(conn).await?);
    eprintln!("watching the idle worker for {} s …", time.as_secs());
    sleep(time).await;
    let after = (processes::cpu(worker)?, of_backends(), transactions(conn).await?);
    let percent = |used: Duration| 100.0 * used.as_secs_f64() / time.as_secs_f64();
    Ok(Idle {
        worker_percent: percent(after.0.saturating_sub(before.0)),
        postgres_percent: percent(after.1.saturating_sub(before.1)),
        statements_per_minute: (after.2 - before.2) as f64 * 60.0 / time.as_secs_f64(),
    })
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Int4)]
    pid: i32,
}

/// The server's processes for all connections to this database but ours.
async fn backends(conn: &mut AsyncPgConnection) -> Result<Vec<u32>> {
    let query =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let rows: Vec<Backend> = diesel::sql_query(query).load(conn).await?;
    Ok(rows.into_iter().filter_map(|row| u32::try_from(row.pid).ok()).collect())
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    transactions: i64,
}

async fn transactions(conn: &mut AsyncPgConnection) -> Result<i64> {
    let query = "SELECT xact_commit + xact_rollback AS transactions FROM pg_stat_database
                 WHERE datname = current_database()";
    let counted: Counted = diesel::sql_query(query).get_result(conn).await?;
    Ok(counted.transactions)
}

#[derive(QueryableByName)]
struct Measured {
    #[diesel(sql_type = Double)]
    figure: f64,
}

/// One job after the other on an idle worker, in no step with its looks; milliseconds from the commit to the claim.
async fn measure_pick_ups(conn: &mut AsyncPgConnection, waker: &Waker, jobs: u32) -> Result<Vec<f64>> {
    conn.batch_execute("TRUNCATE bench_jobs").await?;
    for number in 0..jobs {
        enqueue(conn).await?;
        waker.wake();
        sleep(Duration::from_millis(u64::from(40 + number * 37 % 61))).await;
    }
    wait_until_done(conn).await?;
    // A worker that was looking anyway may begin a job before the clock is read after its commit.
    let query =
        "SELECT greatest(extract(epoch FROM begun - committed) * 1000, 0)::float8 AS figure FROM bench_jobs";
    let measured: Vec<Measured> = diesel::sql_query(query).load(conn).await?;
    Ok(measured.into_iter().map(|row| row.figure).collect())
}

/// Many jobs at once; how many are done a second.
async fn measure_flow(conn: &mut AsyncPgConnection, waker: &Waker, jobs: u32) -> Result<f64> {
    conn.batch_execute("TRUNCATE bench_jobs").await?;
    conn.batch_execute(&format!(
        "INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
         SELECT gen_random_uuid(), 'send_email', jsonb_build_object('email_id', gen_random_uuid()), 12
         FROM generate_series(1, {jobs})"
    ))
    .await?;
    waker.wake();
    wait_until_done(conn).await?;
    let query =
        "SELECT (count(*) / extract(epoch FROM max(done) - min(begun)))::float8 AS figure FROM bench_jobs";
    let measured: Measured = diesel::sql_query(query).get_result(conn).await?;
    Ok(measured.figure)
}
