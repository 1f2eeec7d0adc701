//! How many statements a read takes: as many for a page full of products, variants and images as for one product.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use commerce_core::accounts::Role;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use poem::http::Method;

use crate::shop::{TestShop, ask, get};

static STATEMENTS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set where connections are opened whose statements count: other tests may run in this process.
    static COUNTS_HERE: Cell<bool> = const { Cell::new(false) };
}

fn counting() -> Option<Box<dyn Instrumentation>> {
    let count = |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { .. } = event {
            STATEMENTS.fetch_add(1, Ordering::Relaxed);
        }
    };
    COUNTS_HERE.get().then(|| Box::new(count) as Box<dyn Instrumentation>)
}

/// Products of so many variants and images.
fn csv(products: std::ops::Range<usize>, parts: usize) -> String {
    let mut csv = String::from("slug,title,categories,price,options,stock,image_url\n");
    for product in products {
        for part in 0..parts {
            let (title, category) = if part == 0 { ("Stoneware mug", "Mugs") } else { ("", "") };
            csv += &format!(
                "mug-{product},{title},{category},9.50,Size={part},3,https://x.example/{product}-{part}.jpg\n"
            );
        }
    }
    csv
}

// One thread, so that the pool's connections are opened on it.
#[tokio::test]
async fn reads_take_as_many_statements_for_much_as_for_little() {
    COUNTS_HERE.set(true);
    set_default_instrumentation(counting).unwrap();
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::CatalogueManager).await;
    let import = async |csv: String| {
        let import = ask(Method::POST, "/v1/admin/products/import").body("text/csv", &csv).bearer(&token);
        assert_eq!(shop.send(import).await.status, 200);
    };
    let statements = async |path: &str, least: usize| {
        let before = STATEMENTS.load(Ordering::Relaxed);
        let got = shop.send(get(path)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert!(got.text.matches("x.example").count() >= least, "{path}: {}", got.text);
        STATEMENTS.load(Ordering::Relaxed) - before
    };
    let paths = [
        "/v1/products?limit=100",
        "/v1/products?limit=100&sort=price&in_stock=true",
        "/v1/products?limit=100&category=mugs&descendants=true",
        "/v1/products/mug-0",
        "/v1/products/search?q=stoneware&limit=100",
    ];
    import(csv(0..1, 1)).await;
    let mut few = Vec::new();
    for path in paths {
        // The first time a connection also learns of types.
        statements(path, 1).await;
        few.push(statements(path, 1).await);
    }
    import(csv(0..60, 8)).await;
    for (path, few) in paths.into_iter().zip(few) {
        let least = if path.ends_with("mug-0") { 8 } else { 60 * 8 };
        let many = statements(path, least).await;
        assert!(few > 0 && few == many, "{path}: {few} statements for one product, {many} for sixty");
    }
    shop.database.finish().await;
}
