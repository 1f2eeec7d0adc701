//! Mails through the shipped program: none is lost, whatever is killed.

use std::collections::HashSet;
use std::time::Duration;

use commerce_core::ids::UserId;
use commerce_core::notifications::{NewEmail, Template, enqueue_email};
use commerce_core::testing::{SmtpBehaviour, SmtpPeer, TestDatabase, email};
use diesel_async::SimpleAsyncConnection as _;

use crate::given::{self, database, eventually, rows};
use crate::program::{command, signal, start};

const USER: &str = "00000000-0000-7000-8000-0000000000a1";

/// One account, and as many welcome mails to it, each for an event of its own.
async fn enqueue_mails(database: &TestDatabase, mails: usize) {
    let sql = format!(
        "INSERT INTO commerce.users (id, email, password_hash, display_name, email_verified_at)
             VALUES ('{USER}', 'anna@example.com', 'x', 'Anna', commerce.clock()) ON CONFLICT DO NOTHING;
         WITH mails AS (
             INSERT INTO commerce.emails (id, dedupe_key, template, recipient, data)
             SELECT gen_random_uuid(), 'test:' || n, 'welcome', 'reader-' || n || '@example.com', '{{\"user_id\": \"{USER}\"}}'
             FROM generate_series(1, {mails}) AS n RETURNING id
         )
         INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
         SELECT gen_random_uuid(), 'send_email', jsonb_build_object('email_id', id), 12 FROM mails"
    );
    database.conn().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_is_lost_while_workers_are_killed() {
    const MAILS: usize = 1500;
    let database = database().await;
    enqueue_mails(&database, MAILS).await;
    let mail_dir = std::env::temp_dir().join(format!("commerce-mail-{}", given::unique()));
    let begin =
        |name: &str| start(&database, &mail_dir, &["--name", name, "--lease", "1s", "--log-format", "json"]);
    let mut workers = [("one", begin("one")), ("two", begin("two"))];
    let sent = "commerce.emails WHERE sent_at IS NOT NULL";
    let mut kills = 0;
    for (goal, index) in (1..).map(|round| round * MAILS / 10).zip([0, 1].into_iter().cycle()).take(8) {
        eventually("mails are sent", async || (rows(&database, sent).await >= goal).then_some(())).await;
        // In mid-work, without a word; the next is up under the same name at once.
        let (name, worker) = &mut workers[index];
        worker.kill().await.unwrap();
        *worker = begin(name);
        kills += 1;
    }
    given::all_done(&database).await;
    for (_, worker) in &mut workers {
        signal(worker, "-TERM").await;
        assert!(worker.wait().await.unwrap().success());
    }
    assert_eq!(kills, 8);
    assert_eq!(rows(&database, sent).await, MAILS);
    let files: HashSet<String> = std::fs::read_dir(&mail_dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".eml"))
        .collect();
    assert_eq!(files.len(), MAILS);
    std::fs::remove_dir_all(mail_dir).unwrap();
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_wait_for_the_smtp_server_to_come_back() {
    let database = database().await;
    let peer = SmtpPeer::start().await.unwrap();
    let (address, url) = (peer.address(), peer.url());
    let mut worker = command(&database).args(["--smtp-url", &url]).spawn().unwrap();
    enqueue_mails(&database, 1).await;
    let first = peer.wait_for_mail(Duration::from_secs(30), "reader-1@example.com", "Welcome").await;
    assert!(first.is_some());

    // The worker holds a connection to the server that goes away now.
    peer.stop().await;
    let user: UserId = USER.parse().unwrap();
    let mail = NewEmail::to_user(Template::Welcome, user, &email("anna@example.com"));
    enqueue_email(&*database.conn().await, mail).await.unwrap();
    let waiting = "commerce.jobs WHERE state = 'ready' AND attempt > 0 AND last_error IS NOT NULL";
    eventually("an attempt has failed", async || (rows(&database, waiting).await == 1).then_some(())).await;

    let peer = SmtpPeer::start_on(address).await.unwrap();
    let mail = peer.wait_for_mail(Duration::from_secs(30), "anna@example.com", "Welcome").await.unwrap();
    assert!(mail.text.starts_with("Hello Anna,\n"), "{}", mail.text);
    given::all_done(&database).await;
    assert_eq!(peer.mails().len(), 1);
    signal(&worker, "-INT").await;
    assert!(worker.wait().await.unwrap().success());
    database.finish().await;
}

/// The server refuses for now, answers too late, cuts the connection in the middle, and takes the mail at the third
/// attempt. One reader does not exist. Of one mail the last answer is lost, so nobody can know whether it has arrived.
#[tokio::test(flavor = "multi_thread")]
async fn each_customer_gets_one_mail_from_a_server_that_refuses_delays_and_drops() {
    use SmtpBehaviour::{Defer, Delay, DropAfterData, DropInData, RefuseRecipients};
    const MAILS: usize = 20;
    let database = database().await;
    let peer = SmtpPeer::start().await.unwrap();
    let late = Delay(Duration::from_millis(1200));
    let reader = |n: usize| format!("reader-{n}@example.com");
    let troubled =
        [[Defer, Defer], [late, late], [DropInData, DropInData], [Defer, DropInData], [late, Defer]];
    for (n, trouble) in (1..).zip(troubled) {
        peer.plan(&reader(n), trouble);
    }
    let (unknown, twice) = (reader(6), reader(7));
    peer.plan(&unknown, [RefuseRecipients]);
    peer.plan(&twice, [DropAfterData]);
    enqueue_mails(&database, MAILS).await;
    let mut worker = command(&database);
    worker.args(["--smtp-url", &peer.url(), "--smtp-timeout", "400ms", "--concurrency", "3"]);
    let mut worker = worker.spawn().unwrap();
    eventually("all mails but one are sent", async || {
        let sent = rows(&database, "commerce.emails WHERE sent_at IS NOT NULL").await;
        (sent == MAILS - 1).then_some(())
    })
    .await;

    let mails = peer.mails();
    let to = |reader: &str| mails.iter().filter(|mail| mail.recipients == [reader]).collect::<Vec<_>>();
    for n in (1..=MAILS).filter(|n| ![6, 7].contains(n)) {
        let reader = reader(n);
        let got = to(&reader);
        assert_eq!(got.len(), 1, "{reader}");
        // No answer was taken for that of another mail.
        assert_eq!(got[0].header("to"), Some(reader.as_str()));
        let attempts = if n <= troubled.len() { 3 } else { 1 };
        assert_eq!(peer.attempts(&reader), attempts, "{reader}");
    }
    // The reader's program can tell that it is one mail.
    let got = to(&twice);
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].header("message-id"), got[1].header("message-id"));

    assert_eq!((to(&unknown).len(), peer.attempts(&unknown)), (0, 1));
    let dead = given::only_job(&database).await;
    assert_eq!((dead.state.as_str(), dead.attempt), ("dead", 1));
    assert!(dead.last_error.unwrap().contains("No such mailbox here"));
    commerce_core::jobs::cancel(&mut *database.conn().await, dead.id).await.unwrap();
    signal(&worker, "-INT").await;
    assert!(worker.wait().await.unwrap().success());
    database.finish().await;
}
