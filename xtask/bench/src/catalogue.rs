//! What reading the catalogue costs: lists, pages of products and searches, against the same server answering a constant of equal
//! size; and searches against Meilisearch asked directly.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use commerce_core::db;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::SimpleAsyncConnection as _;
use tokio::process::{Child, Command};

use crate::figures::{self, Figures};
use crate::load::Question;
use crate::{load, products, server};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An empty database
    #[arg(long)]
    database_url: String,
    /// The release binary of commerce-api
    #[arg(long)]
    api: PathBuf,
    /// The release binary of commerce-worker
    #[arg(long)]
    worker: PathBuf,
    /// The program Meilisearch; without one only Postgres searches
    #[arg(long)]
    meilisearch: Option<PathBuf>,
    #[arg(long, default_value_t = 100_000)]
    products: u64,
    /// How long each figure is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many readers are at it at once
    #[arg(long, default_value_t = 8)]
    clients: usize,
}

/// One kind of reading, and the questions that the readers go through in turn.
struct Reading {
    name: &'static str,
    questions: Vec<Question>,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    fill(&arguments.database_url, &arguments.api, arguments.products).await?;
    let api = server::Api::start(&arguments.api, &arguments.database_url, None).await?;
    let mut rows = Vec::new();
    for reading in readings(arguments.products) {
        rows.push(compare(arguments, &api, reading).await?);
    }
    let memory_kb = api.memory_kb()?;
    drop(api);
    let mut direct = None;
    if let Some(program) = &arguments.meilisearch {
        let meilisearch = Meilisearch::start(program).await?;
        meilisearch.index(arguments).await?;
        let api =
            server::Api::start(&arguments.api, &arguments.database_url, Some(meilisearch.address)).await?;
        rows.push(compare(arguments, &api, searches("search (Meilisearch)")).await?);
        direct = Some(compare_directly(arguments, &api, &meilisearch).await?);
    }
    figures::print_readings(&rows, arguments.products, arguments.clients, arguments.seconds);
    if let Some(searches) = direct {
        figures::print_directly(&searches);
    }
    println!("\nMemory of commerce-api after the readings from Postgres: {} MB (RSS).", memory_kb / 1000);
    Ok(())
}

/// By `commerce-api import`, as a merchant would.
pub async fn fill(database_url: &str, api: &Path, count: u64) -> Result<()> {
    db::migrate(database_url).await?;
    let mut file = tempfile::NamedTempFile::new()?;
    products::write_csv(&mut file, count)?;
    let begun = Instant::now();
    let mut import = Command::new(api)
        .arg("import")
        .arg(file.path())
        .env("DATABASE_URL", database_url)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} does not start", api.display()))?;
    let mut peak_kb = 0;
    let ended = loop {
        if let Some(ended) = import.try_wait()? {
            break ended;
        }
        // Gone in the moment in which it ends.
        peak_kb = server::peak_memory_kb(import.id().unwrap_or(0)).unwrap_or(peak_kb);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    ensure!(ended.success(), "the import failed: {ended}");
    let took = begun.elapsed();
    let mut conn = db::connect(database_url).await?;
    conn.batch_execute("VACUUM ANALYZE").await?;
    println!(
        "`commerce-api import` of {} rows ({} MB): {:.0} s, {:.0} rows/s, at most {} MB of memory (VmHWM).",
        count,
        file.as_file().metadata()?.len() / 1_000_000,
        took.as_secs_f64(),
        f64::from(u32::try_from(count)?) / took.as_secs_f64(),
        peak_kb / 1000,
    );
    Ok(())
}

fn readings(count: u64) -> Vec<Reading> {
    let fixed = |name, path: &str| Reading { name, questions: vec![Question::Get(path.to_owned())] };
    vec![
        fixed("list, newest", "/v1/products"),
        fixed("list, by price", "/v1/products?sort=price"),
        fixed("list, a category", "/v1/products?category=mugs"),
        fixed("list, in stock", "/v1/products?in_stock=true"),
        Reading {
            name: "a product",
            questions: (0..500)
                .map(|step| Question::Get(format!("/v1/products/{}", products::slug(step * count / 500))))
                .collect(),
        },
        searches("search (Postgres)"),
    ]
}

fn searches(name: &'static str) -> Reading {
    let path = |query: &&str| Question::Get(format!("/v1/products/search?q={}", query.replace(' ', "+")));
    Reading { name, questions: products::SEARCHES.iter().map(path).collect() }
}

/// The same searches by the API and by Meilisearch alone: asked for what the API answers, whole products, facets and found words marked in
/// title and description; and for what the API asks it for, which reads the products and marks the words itself.
async fn compare_directly(
    arguments: &Arguments,
    api: &server::Api,
    meilisearch: &Meilisearch,
) -> Result<[(&'static str, Figures); 3]> {
    let half = Duration::from_secs(arguments.seconds) / 2;
    let index = meilisearch.live_index(arguments).await?;
    let direct = |fields: &[&str], marked: &[&str]| -> Vec<Question> {
        let question = |query: &&str| {
            let query = serde_json::json!({
                "indexUid": index, "q": query, "matchingStrategy": "all", "page": 1, "hitsPerPage": 20,
                "facets": ["category_tree", "price_range", "in_stock", "options"],
                "attributesToRetrieve": fields, "attributesToHighlight": marked,
            });
            Question::Post("/multi-search", serde_json::json!({ "queries": [query] }).to_string())
        };
        products::SEARCHES.iter().map(question).collect()
    };
    let none = Figures::default;
    let mut contestants = [
        (
            "Meilisearch directly, whole products",
            meilisearch.address,
            direct(&["*"], &["title", "body"]),
            none(),
        ),
        ("Meilisearch directly, only their ids", meilisearch.address, direct(&["id"], &[]), none()),
        ("through the API", api.address, searches("").questions, none()),
    ];
    // There and back, so that a machine that slows down or speeds up in between favours none.
    for _ in 0..2 {
        for (name, address, questions, figures) in &mut contestants {
            eprintln!("search: {name} …");
            figures.add(load::read(*address, questions, arguments.clients, half).await?);
        }
        contestants.reverse();
    }
    ensure!(contestants.iter().all(|(.., figures)| figures.errors == 0), "some of the answers were no 200");
    Ok(contestants.map(|(name, .., figures)| (name, figures)))
}

/// A Meilisearch of this run alone.
struct Meilisearch {
    address: SocketAddr,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Meilisearch {
    async fn start(program: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // It puts its files where it is started.
        let process = Command::new(program.canonicalize()?)
            .current_dir(folder.path())
            .args(["--http-addr", &address.to_string(), "--no-analytics", "--env", "development"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        server::wait_until_it_listens(address).await?;
        Ok(Self { address, _process: process, _folder: folder })
    }

    /// Fills the index by the command that shops use.
    async fn index(&self, arguments: &Arguments) -> Result<()> {
        let status = Command::new(&arguments.worker)
            .arg("reindex")
            .env("DATABASE_URL", &arguments.database_url)
            .env("MEILISEARCH_URL", format!("http://{}", self.address))
            .status()
            .await?;
        ensure!(status.success(), "commerce-worker reindex failed: {status}");
        Ok(())
    }

    async fn live_index(&self, arguments: &Arguments) -> Result<String> {
        use commerce_core::schema::search_indexes::dsl::{search_indexes, state, uid};
        use diesel_async::RunQueryDsl as _;
        let mut conn = db::connect(&arguments.database_url).await?;
        Ok(search_indexes.filter(state.eq("live")).select(uid).first(&mut conn).await?)
    }
}

/// Constant and reading in the order A B B A, so that a machine that slows down or speeds up in between favours neither.
async fn compare(
    arguments: &Arguments,
    api: &server::Api,
    reading: Reading,
) -> Result<(&'static str, Figures, Figures)> {
    let half = Duration::from_secs(arguments.seconds) / 2;
    let sample = load::get(api.address, reading.questions.as_slice().first().context("no question")?).await?;
    let constant = Constant::start(&sample).await?;
    let (mut floor, mut http) = (Figures::default(), Figures::default());
    // Whatever is slow the first time only, such as a cold page of the database.
    load::read(api.address, &reading.questions, arguments.clients, Duration::from_millis(500)).await?;
    for turn in 0..4 {
        let is_floor = turn == 0 || turn == 3;
        eprintln!("{}: {} …", reading.name, if is_floor { "constant" } else { "HTTP" });
        if is_floor {
            floor.add(load::read(constant.address, &reading.questions, arguments.clients, half).await?);
        } else {
            http.add(load::read(api.address, &reading.questions, arguments.clients, half).await?);
        }
    }
    ensure!(http.errors == 0, "{} of the answers were no 200", http.errors);
    Ok((reading.name, floor, http))
}

/// A process of its own that always answers the same.
struct Constant {
    address: SocketAddr,
    _process: Child,
    _body: tempfile::NamedTempFile,
}

impl Constant {
    async fn start(body: &[u8]) -> Result<Self> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), body)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(std::env::current_exe()?)
            .arg("constant")
            .args(["--address", &address.to_string()])
            .arg("--body")
            .arg(file.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        server::wait_until_it_listens(address).await?;
        Ok(Self { address, _process: process, _body: file })
    }
}
