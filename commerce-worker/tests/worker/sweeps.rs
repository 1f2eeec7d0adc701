//! What time brings.

use commerce_worker::schedule::{Sweep, sweeps};
use commerce_worker::work::Worker;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::given::{self, Handlers, RunningWorker, database, eventually, rows, services};

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_run_on_time_and_a_broken_one_disturbs_no_other() {
    let database = database().await;
    let pool = database.pool().clone();
    let counted = move || {
        let pool = pool.clone();
        async move {
            let counted = diesel::sql_query("INSERT INTO effects VALUES (1)");
            Ok(counted.execute(&mut *pool.get().await?).await?)
        }
    };
    let sweeps = vec![
        Sweep::new("broken", "* * * * * *", || async { panic!("this sweep is broken") }),
        Sweep::new("counted", "* * * * * *", counted),
    ];
    let worker = RunningWorker::start(Worker { sweeps, ..given::worker(&database, Handlers::new()) });
    eventually("three ticks", async || (rows(&database, "effects").await >= 3).then_some(())).await;
    worker.stop().await;
    let late = "effects WHERE extract(milliseconds FROM happened_at)::int % 1000 > 700";
    assert_eq!(rows(&database, late).await, 0, "a tick is at the beginning of its second");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_is_pruned() {
    let database = database().await;
    let old = "INSERT INTO commerce.users (id, email, password_hash, display_name)
               VALUES ('00000000-0000-7000-8000-0000000000a1', 'anna@example.com', 'x', 'Anna');
               INSERT INTO commerce.sessions (id, user_id, expires_at)
               SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000a1', commerce.clock() + days * interval '1 day'
               FROM unnest(ARRAY[-30, 30]) AS days;
               INSERT INTO commerce.one_time_codes (id, user_id, purpose, expires_at)
               SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000a1', 'verify_email',
                      commerce.clock() + days * interval '1 day'
               FROM unnest(ARRAY[-30, 30]) AS days;
               INSERT INTO commerce.idempotency_keys (scope, fingerprint, response, expires_at)
               VALUES (sha256('a'), sha256('b'), '{}', commerce.clock() - interval '1 second'),
                      (sha256('c'), sha256('d'), '{}', commerce.clock() + interval '1 day');
               INSERT INTO commerce.emails (id, dedupe_key, template, recipient, data, created_at, sent_at)
               VALUES (gen_random_uuid(), 'old', 'welcome', 'a@b.example', '{}', '2020-01-01', '2020-01-01'),
                      (gen_random_uuid(), 'new', 'welcome', 'a@b.example', '{}', commerce.clock(), commerce.clock());";
    database.conn().await.batch_execute(old).await.unwrap();
    for sweep in sweeps(&services(&database), false) {
        (sweep.run)().await.unwrap();
    }
    for table in ["idempotency_keys", "emails", "sessions", "one_time_codes"] {
        assert_eq!(rows(&database, &format!("commerce.{table}")).await, 1, "{table}");
    }
    database.finish().await;
}
