//! With a real Meilisearch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use commerce_core::catalog::{CategoryPatch, ProductPatch, ProductStatus, update_category};
use commerce_core::db::PoolSettings;
use commerce_core::ids::ProductId;
use commerce_core::jobs;
use commerce_core::jobs::kinds::IndexProducts;
use commerce_core::search::{
    self, Kept, Meilisearch, MeilisearchEngine, MeilisearchSettings, PostgresEngine, SearchEngine,
    SearchIndex, WithFallback,
};
use commerce_core::testing::{MeilisearchServer, TestDatabase};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};

use super::conformance::{conforms, stock_the_shop};
use super::given::{category, category_below, goods, patch, search, text, titles};
use super::relevance::{failures_at_3, load_judged_catalogues};

/// Does the jobs that are due, as a worker does.
async fn do_jobs(db: &TestDatabase, server: Option<&Meilisearch>) -> usize {
    let claimed =
        jobs::claim(&mut *db.conn().await, "tester", &["index_products"], 100, Duration::from_secs(60))
            .await
            .unwrap();
    let index = server.cloned().map(SearchIndex::from).unwrap_or_default();
    for job in &claimed {
        let payload: IndexProducts = serde_json::from_value(job.payload.clone()).unwrap();
        search::index_products(db.pool(), &index, job.lease(), &payload).await.unwrap();
    }
    claimed.len()
}

async fn assert_equal(db: &TestDatabase, server: &Meilisearch) {
    let differing = search::compare_index(db.pool(), server).await.unwrap();
    assert!(differing.is_empty(), "{differing:?}");
}

fn engine(db: &TestDatabase, server: &Meilisearch) -> MeilisearchEngine {
    MeilisearchEngine::new(db.pool().clone(), server.clone())
}

#[tokio::test]
async fn meilisearch_conforms() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    stock_the_shop(&db).await;
    let server = server.client();
    assert_eq!(search::keep_index(db.pool(), &server).await.unwrap(), Kept::Rebuilt { products: 7 });
    conforms(&db, &engine(&db, &server)).await;
    db.finish().await;
}

#[tokio::test]
async fn meilisearch_finds_what_is_meant_by_relevance() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    load_judged_catalogues(&db).await;
    let server = server.client();
    search::keep_index(db.pool(), &server).await.unwrap();
    let failed = failures_at_3(&db, &engine(&db, &server)).await;
    assert!(failed.is_empty(), "{failed:?}");
    db.finish().await;
}

#[tokio::test]
async fn changes_reach_the_index_by_jobs_and_only_while_there_is_one() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let server = server.client();
    let conn = &mut db.conn().await;
    let kitchen = category(conn, "Kitchen").await;
    let mug = goods("Mug", 1000, 2).category(&kitchen).create(conn).await;
    assert_eq!(do_jobs(&db, Some(&server)).await, 0, "nothing is recorded before there is an index");
    search::keep_index(db.pool(), &server).await.unwrap();

    // One job a transaction, whatever it changes.
    conn.transaction::<(), diesel::result::Error, _>(async |conn| {
        goods("Bowl", 2000, 0).create(conn).await;
        patch(conn, mug.id, ProductPatch { title: Some("Beaker".into()), ..Default::default() }).await;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(do_jobs(&db, Some(&server)).await, 1);
    assert_equal(&db, &server).await;
    let found = search(&db, &engine(&db, &server), &text("beaker")).await;
    assert_eq!(titles(&found), ["Beaker"]);

    update_category(
        conn,
        kitchen.id,
        None,
        CategoryPatch { title: Some("Scullery".into()), ..Default::default() },
    )
    .await
    .unwrap();
    patch(conn, mug.id, ProductPatch { status: Some(ProductStatus::Archived), ..Default::default() }).await;
    while do_jobs(&db, Some(&server)).await > 0 {}
    assert_equal(&db, &server).await;
    assert_eq!(search(&db, &engine(&db, &server), &text("scullery")).await.total, 0);

    // A worker without Meilisearch gives the index up, rather than let it grow old.
    patch(conn, mug.id, ProductPatch { status: Some(ProductStatus::Active), ..Default::default() }).await;
    while do_jobs(&db, None).await > 0 {}
    assert!(engine(&db, &server).check().await.is_err());
    db.finish().await;
}

/// Edits with the index being built, over and over; at the end they say the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_is_rebuilt_while_the_shop_is_edited() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let (db, server) = (Arc::new(db), server.client());
    let ids = many_goods(&db, 1050).await;
    search::keep_index(db.pool(), &server).await.unwrap();
    let (stop, editors) = edit(&db, &ids, Some(server.clone()));
    let mut told = 0;
    for _ in 0..2 {
        let built = search::reindex(db.pool(), &server, &mut |_| told += 1).await.unwrap();
        assert!(built > 0);
        // The one that answers is whole at any time.
        assert!(search(&db, &engine(&db, &server), &text("thing")).await.total > 700);
    }
    stop.store(true, Ordering::Relaxed);
    for editor in editors {
        assert!(editor.await.unwrap() > 0);
    }
    while do_jobs(&db, Some(&server)).await > 0 {}
    assert_equal(&db, &server).await;
    assert!(told >= 2, "{told}");
    Arc::into_inner(db).unwrap().finish().await;
}

/// Meilisearch is killed, loses everything, and comes back, while the shop is edited and searched.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn search_goes_on_while_meilisearch_is_killed_and_wiped() {
    let (db, mut server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let (db, client) = (Arc::new(db), server.client());
    let ids = many_goods(&db, 200).await;
    search::keep_index(db.pool(), &client).await.unwrap();
    let shopped: Arc<dyn SearchEngine> = Arc::new(WithFallback::new(
        Arc::new(engine(&db, &client)),
        Arc::new(PostgresEngine::new(db.pool().clone())),
        Duration::from_millis(200),
    ));
    let (stop, mut tasks) = edit(&db, &ids, Some(client.clone()));
    tasks.push(shop(&db, Arc::clone(&shopped), Arc::clone(&stop)));
    // What a worker does every few seconds.
    tasks.push(keep(&db, client.clone(), Arc::clone(&stop)));

    server.kill();
    assert!(shopped.check().await.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.wipe();
    server.start_again().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }

    let begun = Instant::now();
    // Until it is built anew, the server has no such index.
    while !search::compare_index(db.pool(), &client).await.is_ok_and(|differences| differences.is_empty()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the index never says what the table says");
        let _ = search::keep_index(db.pool(), &client).await;
    }
    assert!(shopped.check().await.is_ok());
    // A job that met the trouble may still wait for its next try.
    db.shift_clock(Duration::from_secs(60)).await;
    while do_jobs(&db, Some(&client)).await > 0 {}
    assert_equal(&db, &client).await;
    Arc::into_inner(db).unwrap().finish().await;
}

#[tokio::test]
async fn an_index_that_lost_documents_is_built_anew() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let client = server.client();
    many_goods(&db, 5).await;
    search::keep_index(db.pool(), &client).await.unwrap();
    assert_eq!(search::keep_index(db.pool(), &client).await.unwrap(), Kept::UpToDate { sent: 0 });
    let conn = &mut db.conn().await;
    conn.batch_execute("UPDATE commerce.search_indexes SET settings_version = 0").await.unwrap();
    assert_eq!(search::keep_index(db.pool(), &client).await.unwrap(), Kept::Rebuilt { products: 5 });
    // A product that vanishes behind the triggers' back stands for a document that is too much.
    conn.batch_execute("DELETE FROM commerce.product_search WHERE title = 'thing 1'").await.unwrap();
    assert_eq!(search::keep_index(db.pool(), &client).await.unwrap(), Kept::Rebuilt { products: 4 });
    db.discard().await;
}

/// A server that takes connections and never answers.
#[tokio::test]
async fn a_server_that_hangs_costs_one_search_its_patience() {
    let db = TestDatabase::new().await;
    stock_the_shop(&db).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let settings = MeilisearchSettings {
        search_timeout: Duration::from_millis(300),
        ..MeilisearchSettings::new(url, None)
    };
    let server = Meilisearch::new(&settings).unwrap();
    db.conn()
        .await
        .batch_execute("INSERT INTO commerce.search_indexes VALUES ('products_x', 'live', 1)")
        .await
        .unwrap();
    let postgres = Arc::new(PostgresEngine::new(db.pool().clone()));
    let engine = WithFallback::new(Arc::new(engine(&db, &server)), postgres, Duration::from_secs(60));
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(titles(&search(&db, &engine, &text("lamp")).await), ["Brass Desk Lamp"]);
    }
    let elapsed = begun.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&elapsed), "{elapsed:?}");
    db.discard().await;
}

/// So many products in few statements.
async fn many_goods(db: &TestDatabase, count: usize) -> Arc<Vec<ProductId>> {
    let conn = &mut db.conn().await;
    conn.batch_execute(&format!(
        "INSERT INTO commerce.products (id, slug, title, status, price_from_minor)
         SELECT gen_random_uuid(), 'thing-' || n, 'thing ' || n, 'active', n FROM generate_series(1, {count}) n;
         INSERT INTO commerce.variants (id, product_id, title, price_minor, currency)
         SELECT gen_random_uuid(), id, 'Default', price_from_minor, 'USD' FROM commerce.products;"
    ))
    .await
    .unwrap();
    use commerce_core::schema::products;
    use diesel::QueryDsl as _;
    use diesel_async::RunQueryDsl as _;
    Arc::new(products::table.select(products::id).load(conn).await.unwrap())
}

type Task = tokio::task::JoinHandle<usize>;

/// Editors that retitle, archive and bring back, and a worker that does their jobs, until told to stop. Each counts what it did.
fn edit(
    db: &Arc<TestDatabase>,
    ids: &Arc<Vec<ProductId>>,
    server: Option<Meilisearch>,
) -> (Arc<AtomicBool>, Vec<Task>) {
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (db, ids, stop, number) =
            (Arc::clone(db), Arc::clone(ids), Arc::clone(&stop), Arc::clone(&number));
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                let n = number.fetch_add(1, Ordering::Relaxed);
                let id = ids[n * 7919 % ids.len()];
                let status =
                    if n.is_multiple_of(5) { ProductStatus::Archived } else { ProductStatus::Active };
                let title = Some(format!("thing {n} edited"));
                let change = ProductPatch { title, status: Some(status), ..Default::default() };
                patch(&mut *db.conn().await, id, change).await;
                done += 1;
            }
            done
        }));
    }
    let (db, stopped) = (Arc::clone(db), Arc::clone(&stop));
    tasks.push(tokio::spawn(async move {
        let mut done = 0;
        while !stopped.load(Ordering::Relaxed) {
            done += do_jobs(&db, server.as_ref()).await;
            tokio::task::yield_now().await;
        }
        done
    }));
    (stop, tasks)
}

/// A shopper who must always get an answer.
fn shop(db: &Arc<TestDatabase>, engine: Arc<dyn SearchEngine>, stop: Arc<AtomicBool>) -> Task {
    let db = Arc::clone(db);
    tokio::spawn(async move {
        let mut answers = 0;
        while !stop.load(Ordering::Relaxed) {
            assert!(search(&db, engine.as_ref(), &text("thing")).await.total > 50);
            answers += 1;
        }
        answers
    })
}

fn keep(db: &Arc<TestDatabase>, server: Meilisearch, stop: Arc<AtomicBool>) -> Task {
    let db = Arc::clone(db);
    tokio::spawn(async move {
        let mut looks = 0;
        while !stop.load(Ordering::Relaxed) {
            let _ = search::keep_index(db.pool(), &server).await;
            looks += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        looks
    })
}

/// The name of the live index is remembered for a moment; one that was replaced is noticed at the first answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_finds_the_index_that_took_the_place_of_the_one_it_knew() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    stock_the_shop(&db).await;
    let server = server.client();
    let engine = engine(&db, &server);
    assert!(engine.check().await.is_err(), "there is no index yet");
    search::keep_index(db.pool(), &server).await.unwrap();
    for _ in 0..3 {
        assert_eq!(titles(&search(&db, &engine, &text("lamp")).await), ["Brass Desk Lamp"]);
        search::reindex(db.pool(), &server, &mut |_| {}).await.unwrap();
    }
    db.finish().await;
}

/// That is no fault of Meilisearch, and Postgres could not be asked either.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_database_connection_is_not_held_against_meilisearch() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    stock_the_shop(&db).await;
    let server = server.client();
    search::keep_index(db.pool(), &server).await.unwrap();
    let settings = PoolSettings {
        connections_max: 1,
        wait_timeout: Duration::from_millis(1500),
        ..PoolSettings::default()
    };
    let narrow = commerce_core::db::pool(db.url(), &settings).unwrap();
    // Whoever falls back meets a database that is not there.
    let nowhere = commerce_core::db::pool("postgres://nobody@127.0.0.1:1/none", &settings).unwrap();
    let shopped = WithFallback::new(
        Arc::new(MeilisearchEngine::new(narrow.clone(), server.clone())),
        Arc::new(PostgresEngine::new(nowhere)),
        Duration::from_secs(60),
    );
    let held = narrow.get().await.unwrap();
    let starved = search::search_products(db.pool(), &shopped, &text("lamp")).await;
    assert!(matches!(starved, Err(search::SearchProductsError::NoConnection(_))), "{starved:?}");
    drop(held);
    assert_eq!(titles(&search(&db, &shopped, &text("lamp")).await), ["Brass Desk Lamp"]);
    db.finish().await;
}

/// Only who changes products of this shop is waited for, and that is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_waits_for_transactions_that_change_products_and_for_no_others() {
    let (db, other, server) =
        (TestDatabase::new().await, TestDatabase::new().await, MeilisearchServer::start().await);
    let server = server.client();
    let mug = goods("Mug", 1000, 2).create(&mut *db.conn().await).await;
    goods("Elsewhere", 1000, 2).create(&mut *other.conn().await).await;

    // In another shop of the same Postgres, and in this one, but elsewhere.
    let mut neighbour = other.conn().await;
    neighbour.batch_execute("BEGIN; UPDATE commerce.products SET title = 'Still elsewhere'").await.unwrap();
    let mut bystander = db.conn().await;
    bystander.batch_execute("BEGIN; UPDATE commerce.stock_locations SET name = name").await.unwrap();
    let mut told = Vec::new();
    search::reindex(db.pool(), &server, &mut |progress| told.push(progress)).await.unwrap();
    assert_eq!(told, [search::Progress::Built { products: 1, of: 1 }]);

    let mut editor = db.conn().await;
    editor.batch_execute("BEGIN; UPDATE commerce.products SET title = 'Beaker'").await.unwrap();
    let (waits, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let (pool, client) = (db.pool().clone(), server.clone());
    let rebuild = tokio::spawn(async move {
        search::reindex(&pool, &client, &mut |progress| waits.send(progress).unwrap_or_default())
            .await
            .unwrap()
    });
    assert_eq!(waiting.recv().await, Some(search::Progress::WaitingFor { transactions: 1 }));
    editor.batch_execute("COMMIT").await.unwrap();
    assert_eq!(rebuild.await.unwrap(), 1);
    assert_equal(&db, &server).await;
    let found = search(&db, &engine(&db, &server), &text("beaker")).await;
    assert_eq!(found.found[0].product.id, mug.id);
    for conn in [&mut neighbour, &mut bystander] {
        conn.batch_execute("ROLLBACK").await.unwrap();
    }
    drop((neighbour, bystander, editor));
    other.finish().await;
    db.finish().await;
}

/// What is filed below a category counts in those above it, wherever it is moved.
#[tokio::test]
async fn a_category_that_is_moved_counts_elsewhere() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let server = server.client();
    let conn = &mut db.conn().await;
    let (home, garden) = (category(conn, "Home").await, category(conn, "Garden").await);
    let pots = category_below(conn, &home, "Pots").await;
    let small = category_below(conn, &pots, "Small pots").await;
    goods("Clay pot", 1000, 2).category(&small).create(conn).await;
    search::keep_index(db.pool(), &server).await.unwrap();
    let engines: [&dyn SearchEngine; 2] = [&PostgresEngine::new(db.pool().clone()), &engine(&db, &server)];
    for engine in engines {
        assert_eq!(categories(&db, engine).await, ["home", "pots", "small-pots"], "{}", engine.name());
    }
    let moved = CategoryPatch { parent_id: Some(Some(garden.id)), ..Default::default() };
    update_category(conn, pots.id, None, moved).await.unwrap();
    assert_eq!(do_jobs(&db, Some(&server)).await, 1);
    assert_equal(&db, &server).await;
    for engine in engines {
        assert_eq!(categories(&db, engine).await, ["garden", "pots", "small-pots"], "{}", engine.name());
    }
    db.finish().await;
}

/// Those in the facet, sorted.
async fn categories(db: &TestDatabase, engine: &dyn SearchEngine) -> Vec<String> {
    let page = search(db, engine, &text("")).await;
    let mut slugs: Vec<String> = page.facets["category"].iter().map(|value| value.value.clone()).collect();
    slugs.sort();
    slugs
}

/// A change whose row a long transaction holds is sent once, and looked at again a little later: nobody goes round and round.
#[tokio::test]
async fn a_change_that_is_being_changed_again_is_left_for_a_while() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let server = server.client();
    let mug = goods("Mug", 1000, 2).create(&mut *db.conn().await).await;
    search::keep_index(db.pool(), &server).await.unwrap();
    patch(&mut *db.conn().await, mug.id, ProductPatch { title: Some("Beaker".into()), ..Default::default() })
        .await;
    let mut import = db.conn().await;
    import.batch_execute("BEGIN; UPDATE commerce.products SET title = 'Cup'").await.unwrap();
    assert_eq!(do_jobs(&db, Some(&server)).await, 1);
    assert_eq!(do_jobs(&db, Some(&server)).await, 0, "the next is not due yet");
    assert_eq!(titles(&search(&db, &engine(&db, &server), &text("beaker")).await), ["Beaker"]);
    import.batch_execute("ROLLBACK").await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(do_jobs(&db, Some(&server)).await, 1);
    assert_eq!(do_jobs(&db, Some(&server)).await, 0);
    let left = "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM commerce.search_changes); END $$";
    import.batch_execute(left).await.unwrap();
    drop(import);
    assert_equal(&db, &server).await;
    db.finish().await;
}

/// A worker that knows of no Meilisearch gives up the index that is being built: it is not called live.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_given_up_is_not_put_in_place() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let server = server.client();
    goods("Mug", 1000, 2).create(&mut *db.conn().await).await;
    let mut elsewhere = db.conn().await;
    let mut give_up = |_| {
        let delete = elsewhere.batch_execute("DELETE FROM commerce.search_indexes");
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(delete)).unwrap();
    };
    let built = search::reindex(db.pool(), &server, &mut give_up).await;
    assert!(matches!(built, Err(search::IndexError::GivenUp)), "{built:?}");
    drop(elsewhere);
    db.finish().await;
}

/// A pair of name and value that is longer than Meilisearch keeps of a facet's value can be filtered by.
#[tokio::test]
async fn long_options_are_filtered_by() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let server = server.client();
    let (ink, chalk) = ("漆".repeat(80), format!("{}器", "漆".repeat(79)));
    goods("Bowl", 1000, 2).option("素材", &[&ink]).create(&mut *db.conn().await).await;
    goods("Cup", 1000, 2).option("素材", &[&chalk]).create(&mut *db.conn().await).await;
    search::keep_index(db.pool(), &server).await.unwrap();
    let engines: [&dyn SearchEngine; 2] = [&PostgresEngine::new(db.pool().clone()), &engine(&db, &server)];
    for engine in engines {
        let option = search::OptionFilter { name: "素材".to_owned(), value: chalk.clone() };
        let filtered = search::SearchProducts { options: vec![option], ..text("") };
        assert_eq!(titles(&search(&db, engine, &filtered).await), ["Cup"], "{}", engine.name());
    }
    db.finish().await;
}

/// Whoever finds the turn taken keeps its connection to the database.
#[tokio::test]
async fn a_turn_that_is_taken_costs_no_connection() {
    let (db, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
    let settings = PoolSettings { connections_max: 1, ..PoolSettings::default() };
    let pool = commerce_core::db::pool(db.url(), &settings).unwrap();
    let backend = async || {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            pid: i32,
        }
        use diesel_async::RunQueryDsl as _;
        let conn = &mut *pool.get().await.unwrap();
        diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result::<Row>(conn).await.unwrap().pid
    };
    let before = backend().await;
    let mut holder = db.conn().await;
    // `TURN_LOCK` of the module.
    holder.batch_execute("SELECT pg_advisory_lock(x'7365617263686978'::bigint)").await.unwrap();
    for _ in 0..3 {
        assert_eq!(search::keep_index(&pool, &server.client()).await.unwrap(), Kept::ElsewhereInHand);
    }
    assert_eq!(backend().await, before);
    drop(holder);
    db.discard().await;
}
