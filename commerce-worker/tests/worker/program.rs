//! The program as it is shipped: `commerce-worker`.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use commerce_core::jobs::{self, Failure, JobState};
use commerce_core::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::given::{self, database, enqueue, eventually};

/// The program with settings for a test; nothing is taken from the surroundings.
pub fn command(database: &TestDatabase) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commerce-worker"));
    command
        .env_clear()
        .env("DATABASE_URL", database.url())
        .env("COMMERCE_SECRET_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
        .env("COMMERCE_MAIL_FROM", "Corner Shop <hello@shop.example>")
        .current_dir(std::env::temp_dir())
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}

pub fn start(database: &TestDatabase, mail_dir: &Path, arguments: &[&str]) -> Child {
    let mut command = command(database);
    command.args(arguments).env("COMMERCE_MAIL_DIR", mail_dir).spawn().unwrap()
}

pub async fn signal(child: &Child, signal: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
}

async fn jobs_command(database: &TestDatabase, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } =
        command(database).arg("jobs").args(arguments).output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

async fn audit_command(database: &TestDatabase, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } =
        command(database).arg("audit").args(arguments).output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_checks_the_books_and_mends_them() {
    let database = TestDatabase::new().await;
    let variant = database.variant(1250, 10).await;
    assert_eq!(audit_command(&database, &["verify"]).await, (true, "Everything holds.\n".to_owned()));
    let (fine, told) = audit_command(&database, &["repair", "--apply"]).await;
    assert_eq!((fine, told.as_str()), (true, "No stock has drifted.\n"));

    let change = "UPDATE commerce.stock_levels SET on_hand = 12";
    database.conn().await.batch_execute(change).await.unwrap();
    let (fine, told) = audit_command(&database, &["verify"]).await;
    assert!(!fine && told.contains("on_hand 12, ledger 10") && told.contains("1 breach(es)"), "{told}");
    let (fine, told) = audit_command(&database, &["repair"]).await;
    assert!(fine && told.contains("can be mended") && told.contains(&variant.to_string()), "{told}");
    assert_eq!(database.stock(variant).await, (12, 0));
    let (fine, told) = audit_command(&database, &["repair", "--apply"]).await;
    assert!(fine && told.ends_with("1 level(s) mended, 0 to be counted.\n"), "{told}");
    assert_eq!(database.stock(variant).await, (10, 0));
    assert!(audit_command(&database, &["verify"]).await.0);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_moves_many_jobs_and_pauses_a_kind() {
    let database = TestDatabase::new().await;
    database
        .conn()
        .await
        .batch_execute(
            "INSERT INTO commerce.jobs (id, kind, payload, attempts_max, state, last_error, failures)
             SELECT gen_random_uuid(), 'send_email', '{}', 3, 'dead', 'refused ' || n,
                    commerce.with_failure('[]', 3, 'w', 'refused ' || n)
             FROM generate_series(1, 3) AS n",
        )
        .await
        .unwrap();
    let told = async |arguments: &[&str]| jobs_command(&database, arguments).await;
    let (shown, table) = told(&["list", "--kind", "send_email", "--error", "refused 2"]).await;
    assert!(shown && table.lines().count() == 2, "{table}");
    let id = table.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let (_, details) = told(&["show", &id]).await;
    assert!(details.contains("\n  attempt 3 by w at ") && details.contains(": refused 2\n"), "{details}");
    assert_eq!(told(&["retry", "--error", "refused 1"]).await, (true, "1 job is due now.\n".to_owned()));
    assert!(told(&["pause", "send_email"]).await.0);
    let (_, kinds) = told(&["kinds"]).await;
    let line = kinds.lines().find(|line| line.starts_with("send_email ")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().take(5).collect();
    assert_eq!(cells, ["send_email", "1", "0", "2", "since"], "{kinds}");
    assert_eq!(told(&["resume", "send_email"]).await, (true, "send_email is resumed.\n".to_owned()));
    assert_eq!(told(&["cancel", "--state", "dead"]).await, (true, "2 jobs are removed.\n".to_owned()));
    // All jobs of the shop are never meant.
    assert!(!told(&["cancel"]).await.0);
    assert!(!told(&["pause", "no_such_kind"]).await.0);
    assert_eq!(told(&["cancel", "--kind", "send_email"]).await, (true, "1 job is removed.\n".to_owned()));
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_shows_retries_and_cancels() {
    let database = database().await;
    assert_eq!(jobs_command(&database, &["list"]).await, (true, "No jobs.\n".to_owned()));

    let (dead, waiting) = (enqueue(&database, 1).await, enqueue(&database, 2).await);
    let mut conn = database.conn().await;
    let claimed =
        jobs::claim(&mut conn, "tester", &["count"], 1, Duration::from_secs(60)).await.unwrap().remove(0);
    assert_eq!(claimed.id, dead);
    let busy = jobs_command(&database, &["retry", &dead.to_string()]).await;
    assert_eq!(busy, (false, format!("error: job {dead} is running; wait until the attempt ends\n")));
    jobs::fail(&mut conn, &claimed, &Failure::Abort("first line\nsecond line".into())).await.unwrap();

    let (listed, table) = jobs_command(&database, &["list"]).await;
    assert!(listed, "{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[0].starts_with("ID ") && lines[0].ends_with("ATTEMPTS  WHEN          LAST ERROR"),
        "{table}"
    );
    assert!(lines[1].contains(&dead.to_string()) && lines[1].ends_with("first line second line"), "{table}");
    assert!(lines[2].contains("ready") && lines[2].contains("0/3") && lines[2].ends_with("due"), "{table}");
    let (_, table) = jobs_command(&database, &["list", "--state", "dead"]).await;
    assert_eq!(table.lines().count(), 2, "{table}");

    let (shown, details) = jobs_command(&database, &["show", &dead.to_string()]).await;
    assert!(
        shown && details.contains("payload     {\"number\":1}") && details.contains("attempts    1 of 3"),
        "{details}"
    );

    assert_eq!(
        jobs_command(&database, &["retry", &dead.to_string()]).await,
        (true, format!("Job {dead} is due now.\n"))
    );
    assert_eq!(jobs::find(&mut conn, dead).await.unwrap().unwrap().state, JobState::Ready);
    assert_eq!(
        jobs_command(&database, &["cancel", &waiting.to_string()]).await,
        (true, format!("Job {waiting} is removed.\n"))
    );
    assert_eq!(
        jobs_command(&database, &["cancel", &waiting.to_string()]).await,
        (false, format!("error: there is no job {waiting}: it is done, or it never existed\n"))
    );
    let (done, complaint) = jobs_command(&database, &["show", "one"]).await;
    assert!(!done && complaint.contains("invalid value 'one' for '<ID>'"), "{complaint}");
    drop(conn);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_refused_with_the_reason() {
    let database = database().await;
    for (variable, value, reason) in [
        ("SMTP_URL", "ftp://mail.example", "not a usable SMTP address"),
        ("COMMERCE_SECRET_KEY", "short", "at least 32 random bytes"),
        ("COMMERCE_MAIL_FROM", "nobody", "not a mail address"),
        ("COMMERCE_WORKER_LEASE", "10ms", "must be between 1s and 1h"),
        ("COMMERCE_WORKER_POLL_INTERVAL", "often", "'--poll-interval <POLL_INTERVAL>' is invalid"),
        ("COMMERCE_WORKER_CONCURRENCY", "0", "it is not in 1..=1000"),
        ("COMMERCE_WORKER_HTTP_ADDR", "203.0.113.1:1", "cannot listen on 203.0.113.1:1"),
        ("COMMERCE_MAIL_DIR", "/dev/null/mail", "mail folder /dev/null/mail"),
    ] {
        let mut command = command(&database);
        let output = command.env("COMMERCE_MAIL_DIR", std::env::temp_dir()).env(variable, value).output();
        let Output { status, stderr, .. } =
            tokio::time::timeout(Duration::from_secs(20), output).await.unwrap().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(!status.success() && stderr.contains(reason), "{variable}={value}: {stderr}");
    }
    database.finish().await;
}

async fn http_get(address: &str, request: &str) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_how_it_is_and_ends_when_asked() {
    let database = database().await;
    let mail_dir = std::env::temp_dir().join(format!("commerce-mail-{}", given::unique()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut child = start(&database, &mail_dir, &["run", "--http-addr", &address, "--log-format", "json"]);
    let health = eventually("it answers", async || http_get(&address, "GET /healthz").await).await;
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"), "{health}");
    assert!(http_get(&address, "GET /readyz").await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(http_get(&address, "GET /elsewhere").await.unwrap().starts_with("HTTP/1.1 404 "));
    assert!(http_get(&address, "POST /metrics").await.unwrap().starts_with("HTTP/1.1 405 "));
    // The queue is measured every ten seconds.
    eventually("metrics", async || {
        let metrics = http_get(&address, "GET /metrics?x=y").await.unwrap();
        let told = |metric| metrics.contains(metric);
        (told("commerce_jobs{kind=\"send_email\",state=\"ready\"} 0")
            && told("commerce_refunds{status=\"failed\"} 0"))
        .then_some(())
    })
    .await;

    signal(&child, "-TERM").await;
    let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
    std::fs::remove_dir_all(mail_dir).unwrap();
    database.finish().await;
}
