//! `commerce-worker reindex`, as a person calls it.

use std::process::Output;

use commerce_core::testing::TestDatabase;

use crate::program::command;

mod meilisearch_tests {
    use std::process::{Output, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use commerce_core::search;
    use commerce_core::testing::{MeilisearchServer, TestDatabase};
    use diesel_async::SimpleAsyncConnection as _;

    use crate::given::eventually;
    use crate::program::{command, signal};

    const PRODUCTS: usize = 2500;

    async fn stock(database: &TestDatabase) {
        let products = format!(
        "INSERT INTO commerce.products (id, slug, title, status, price_from_minor)
         SELECT gen_random_uuid(), 'thing-' || n, 'Thing ' || n, 'active', n FROM generate_series(1, {PRODUCTS}) n"
    );
        database.conn().await.batch_execute(&products).await.unwrap();
    }

    /// Retitles products, one after another, until it is stopped; returns how many.
    fn edit(database: &Arc<TestDatabase>, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
        let (database, stop) = (Arc::clone(database), Arc::clone(stop));
        tokio::spawn(async move {
            let mut conn = database.conn().await;
            let mut edits = 0;
            while !stop.load(Ordering::Relaxed) {
                edits += 1;
                let n = edits * 7919 % PRODUCTS + 1;
                let status = if edits % 5 == 0 { "archived" } else { "active" };
                conn.batch_execute(&format!(
                "UPDATE commerce.products SET title = 'Edited {edits}', status = '{status}' WHERE slug = 'thing-{n}'"
            ))
            .await
            .unwrap();
            }
            edits
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_index_is_built_anew_while_the_shop_is_edited() {
        let (database, server) = (Arc::new(TestDatabase::new().await), MeilisearchServer::start().await);
        stock(&database).await;
        let mail_dir = std::env::temp_dir();
        let mut worker = command(&database);
        worker.arg("run").env("COMMERCE_MAIL_DIR", &mail_dir).env("MEILISEARCH_URL", server.url());
        let mut worker = worker.spawn().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let editor = edit(&database, &stop);
        for _ in 0..2 {
            let mut reindex = command(&database);
            let reindex = reindex.arg("reindex").env("MEILISEARCH_URL", server.url()).output();
            let Output { status, stdout, stderr } =
                tokio::time::timeout(Duration::from_secs(120), reindex).await.unwrap().unwrap();
            let said = String::from_utf8(stdout).unwrap();
            assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
            // Nobody looks at a terminal: lines, and not many.
            let lines: Vec<&str> = said.lines().collect();
            assert!(lines.iter().any(|line| line.contains(" of ") && line.ends_with(" products")), "{said}");
            assert!(lines.last().unwrap().starts_with("The new index has "), "{said}");
            assert!(!said.contains('\r'), "{said}");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(editor.await.unwrap() > 0);
        // The worker sends what is left, and then both say the same.
        let client = server.client();
        eventually("the index is as the table", async || {
            let differing = search::compare_index(database.pool(), &client).await.unwrap();
            differing.is_empty().then_some(())
        })
        .await;
        signal(&worker, "-TERM").await;
        assert!(worker.wait().await.unwrap().success());
        Arc::into_inner(database).unwrap().finish().await;
    }

    /// `script` gives the program a terminal.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_person_at_a_terminal_sees_a_bar() {
        let (database, server) = (TestDatabase::new().await, MeilisearchServer::start().await);
        stock(&database).await;
        let mut on_terminal = tokio::process::Command::new("script");
        on_terminal
            .args(["--quiet", "--return", "--command"])
            .arg(format!("{} reindex", env!("CARGO_BIN_EXE_commerce-worker")))
            .arg("/dev/null")
            .env("DATABASE_URL", database.url())
            .env("MEILISEARCH_URL", server.url())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null());
        let Output { status, stdout, .. } = match on_terminal.output().await {
            Ok(output) => output,
            Err(error) => {
                let wanted = std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty());
                assert!(!wanted, "script (util-linux) must be there where CI is set: {error}");
                println!(
                    "SKIPPED reindex::meilisearch_tests::a_person_at_a_terminal_sees_a_bar: no program `script`: {error}"
                );
                return;
            }
        };
        let seen = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{seen}");
        let full = format!("\r[{}] {PRODUCTS} of {PRODUCTS} products", "#".repeat(40));
        assert!(seen.contains(&full), "{seen}");
        assert!(seen.contains(&format!("\r[{}", "#".repeat(16))) && seen.contains("1000 of 2500"), "{seen}");
        assert!(seen.contains(&format!("The new index has {PRODUCTS} products")), "{seen}");
        database.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_meilisearch_there_is_nothing_to_build() {
    let database = TestDatabase::new().await;
    let Output { status, stderr, .. } = command(&database).arg("reindex").output().await.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && said.contains("MEILISEARCH_URL is not set"), "{said}");
    database.finish().await;
}
