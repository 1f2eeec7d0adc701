//! What the tests start from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_core::accounts::SecretKey;
use commerce_core::catalog::image::Media;
use commerce_core::db::{self, Pool};
use commerce_core::jobs::{self, ClaimedJob, CompleteError, Failure, Job, JobRow, Lease, NewJob, Services};
use commerce_core::notifications::{FolderMailer, MailSettings};
use commerce_core::payments::Providers;
use commerce_core::search::SearchIndex;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use commerce_worker::attempt::Runner;
use commerce_worker::work::Worker;
use diesel::sql_types::Integer;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use object_store::memory::InMemory;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Writes its number into a table, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Count {
    pub number: i32,
}

impl Job for Count {
    const KIND: &'static str = "count";
    const ATTEMPTS_MAX: i32 = 3;
}

type Handler = Arc<dyn Fn(ClaimedJob) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// What is done with the tests' own kinds of job.
#[derive(Default)]
pub struct Handlers(BTreeMap<&'static str, Handler>);

impl Handlers {
    pub fn new() -> Self {
        Self::default()
    }

    /// Does jobs of kind `J` with `handler`.
    pub fn with<J, F, Fut>(mut self, handler: F) -> Self
    where
        J: Job + 'static,
        F: Fn(Lease, J) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let decode_and_run = move |job: ClaimedJob| {
            let handler = Arc::clone(&handler);
            async move { handler(job.lease(), job.payload()?).await }.boxed()
        };
        self.0.insert(J::KIND, Arc::new(decode_and_run));
        self
    }

    fn into_runner(self) -> Runner {
        let kinds = self.0.keys().copied().collect();
        let run = move |job: ClaimedJob| self.0[job.kind.as_str()](job);
        Runner { kinds, run: Arc::new(run) }
    }
}

/// What the shop's own jobs and sweeps work with: no mail leaves, files are in memory.
pub fn services(database: &TestDatabase) -> Services {
    Services {
        pool: database.pool().clone(),
        shop: ShopSettings::default(),
        mailer: Arc::new(FolderMailer::new(std::env::temp_dir()).unwrap()),
        mails: Arc::new(MailSettings {
            sender: "Shop <shop@example.com>".parse().unwrap(),
            shop_url: None,
            password_reset_url: None,
            order_url: None,
            secret_key: SecretKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap(),
            carriers: Default::default(),
            templates: Default::default(),
        }),
        providers: Providers::default(),
        media: Media::over(Arc::new(InMemory::new())),
        search_index: SearchIndex::none(),
    }
}

/// A database with the table that [`count`] writes to.
pub async fn database() -> TestDatabase {
    let database = TestDatabase::new().await;
    let table =
        "CREATE TABLE effects (number integer NOT NULL, happened_at timestamptz DEFAULT commerce.clock())";
    database.conn().await.batch_execute(table).await.unwrap();
    database
}

pub async fn enqueue(database: &TestDatabase, number: i32) -> commerce_core::ids::JobId {
    jobs::enqueue(&*database.conn().await, &Count { number }).await.unwrap()
}

/// A job that is due after this time.
pub async fn enqueue_after(database: &TestDatabase, number: i32, delay: Duration) {
    let mut conn = database.conn().await;
    let run_at = db::current_time(&mut conn).await.unwrap() + delay;
    jobs::enqueue_all(&conn, vec![NewJob::new(&Count { number }).unwrap().at(run_at)]).await.unwrap();
}

/// Completes the job and writes its number, in one transaction.
pub async fn count(pool: &Pool, lease: Lease, number: i32) -> Result<(), Failure> {
    let counted = db::in_transaction(pool, "count", async |conn| {
        jobs::complete(conn, lease).await?;
        diesel::sql_query("INSERT INTO effects VALUES ($1)").bind::<Integer, _>(number).execute(conn).await?;
        Ok::<_, CompleteError>(())
    });
    counted.await.map_err(|error| Failure::Retry(error.to_string()))
}

pub fn counting(database: &TestDatabase) -> Handlers {
    let pool = database.pool().clone();
    Handlers::new().with(move |lease, job: Count| {
        let pool = pool.clone();
        async move { count(&pool, lease, job.number).await }
    })
}

/// A worker with short times, so that tests need not wait long.
pub fn worker(database: &TestDatabase, handlers: Handlers) -> Worker {
    Worker {
        name: "tester".to_owned(),
        pool: database.pool().clone(),
        database_url: database.url().to_owned(),
        runner: handlers.into_runner(),
        sweeps: Vec::new(),
        concurrency: 4,
        lease: Duration::from_secs(2),
        poll_interval: Duration::from_millis(20),
        job_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(20),
    }
}

/// A worker that runs until it is told to stop.
pub struct RunningWorker {
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl RunningWorker {
    pub fn start(worker: Worker) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run_until(async {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    /// Says that it should stop, and waits until it has.
    pub async fn stop(self) {
        self.begin_to_stop().await.unwrap().unwrap();
    }

    /// Says that it should stop. The task ends once it has.
    pub fn begin_to_stop(self) -> JoinHandle<anyhow::Result<()>> {
        self.stop.send(()).unwrap();
        self.task
    }
}

/// Waits until `condition` gives something, looking again and again; fails after half a minute.
pub async fn eventually<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until no job is left.
pub async fn all_done(database: &TestDatabase) {
    eventually("all jobs are done", async || rows(database, "commerce.jobs").await.eq(&0).then_some(()))
        .await;
}

/// How many rows there are; `table` may go on with WHERE.
pub async fn rows(database: &TestDatabase, table: &str) -> usize {
    let query = diesel::sql_query(format!("SELECT 1 FROM {table}"));
    query.execute(&mut database.conn().await).await.unwrap()
}

/// The job that is there, and only that one.
pub async fn only_job(database: &TestDatabase) -> JobRow {
    let mut rows = jobs::list(&mut *database.conn().await, None, Default::default()).await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

/// Holds every handler that waits for it until it is opened.
#[derive(Clone)]
pub struct Gate(Arc<tokio::sync::Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(0)))
    }

    pub fn open(&self) {
        self.0.add_permits(1000);
    }

    pub async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// A name that no other test has.
pub fn unique() -> String {
    commerce_core::ids::JobId::new().to_string()
}
