//! commerce-api on the command line: migrations, the first admin, catalogues; and buying from what was imported.

use commerce_core::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};

use crate::client::{address, get, post};
use crate::shop::{Settings, Shop};

/// A real merchant's catalogue in Shopify's layout.
const APPAREL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../commerce-core/tests/data/shopify-apparel.csv");

/// Runs it to its end; whether it succeeded, and what it said.
async fn run(settings: &Settings, arguments: &[&str]) -> (bool, String) {
    let output = settings.api_command(arguments).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_migrated_once_however_many_try() {
    let database = TestDatabase::new().await;
    let settings = Settings::new(database.url());
    assert_eq!(run(&settings, &["migrate"]).await, (true, "The schema is up to date.\n".to_owned()));

    database.conn().await.batch_execute("DROP SCHEMA commerce CASCADE").await.unwrap();
    let tries = tokio::join!(
        run(&settings, &["migrate"]),
        run(&settings, &["migrate"]),
        run(&settings, &["migrate"])
    );
    let tries = [tries.0, tries.1, tries.2];
    assert!(tries.iter().all(|(succeeded, _)| *succeeded), "{tries:?}");
    assert_eq!(tries.iter().filter(|(_, said)| said.starts_with("Applied ")).count(), 1, "{tries:?}");
    assert_eq!(run(&settings, &["migrate"]).await, (true, "The schema is up to date.\n".to_owned()));
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_is_made_once() {
    let database = TestDatabase::new().await;
    let settings = Settings::new(database.url());
    let create = ["create-admin", "--email", "boss@shop.example", "--password", "a quiet corner of the shop"];
    let tries = tokio::join!(run(&settings, &create), run(&settings, &create));
    let tries = [tries.0, tries.1];
    assert!(tries.iter().all(|(succeeded, _)| *succeeded), "{tries:?}");
    assert_eq!(tries.iter().filter(|(_, said)| said.starts_with("Created")).count(), 1, "{tries:?}");
    let (again, said) = run(&settings, &create).await;
    assert!(again && said.contains("exists already"), "{said}");
    let (weak, said) =
        run(&settings, &["create-admin", "--email", "b@shop.example", "--password", "short"]).await;
    assert!(!weak && said.contains("password"), "{said}");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_catalogue_is_seeded_once() {
    let database = TestDatabase::new().await;
    let settings = Settings::new(database.url());
    let (seeded, said) = run(&settings, &["seed"]).await;
    assert!(seeded && said.contains("updated: 0, unchanged: 0, skipped: 0"), "{said}");
    let (again, said) = run(&settings, &["seed"]).await;
    assert!(again && said.contains("created: 0, updated: 0"), "{said}");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_catalogue_is_imported_and_sells() {
    let shop = Shop::open().await;
    let (client, email) = (&shop.client, "ada@example.com");
    let (imported, said) = run(&shop.settings, &["import", APPAREL]).await;
    assert!(imported && said.contains("created: 20, updated: 0, unchanged: 0, skipped: 0"), "{said}");
    let (again, said) = run(&shop.settings, &["import", APPAREL]).await;
    assert!(again && said.contains("created: 0, updated: 0, unchanged: 20, skipped: 0"), "{said}");

    let listed = client.send(get("/v1/products?category=women&in_stock=true&limit=100")).await.expect(200);
    let slugs: Vec<_> = listed["data"].as_array().unwrap().iter().map(|product| &product["slug"]).collect();
    assert!(slugs.contains(&&json!("classic-varsity-top")), "{slugs:?}");
    let top = async || client.send(get("/v1/products/classic-varsity-top")).await.expect(200);
    let product = top().await;
    let medium = product["variants"].as_array().unwrap().iter().find(|variant| variant["title"] == "Medium");
    let medium = medium.expect("a size Medium");
    // The file names no tracker of the stock, so its units are not counted.
    assert_eq!((&medium["available"], &medium["price"]["amount"]), (&Value::Null, &json!(6000)));

    let item = json!({ "variant_id": medium["id"], "quantity": 1 });
    let cart = client.send(post("/v1/cart/items", &item)).await.expect(200);
    let token = cart["token"].as_str().unwrap();
    let wish = json!({ "email": email, "shipping_address": address() });
    let order = client.send(post("/v1/orders/checkout", &wish).cart(token).key("checkout")).await.expect(201);
    let pay =
        post(format!("/v1/orders/{}/pay", order["id"].as_str().unwrap()), &json!({ "provider": "mock" }));
    let payment = client.send(pay.cart(token).key("pay")).await.expect(201);
    assert_eq!(payment["status"], "succeeded");
    let mail = shop.mail(email, "is confirmed").await;
    assert!(
        mail.text.contains("Classic Varsity Top") && mail.text.contains("Total: 60.00 USD"),
        "{}",
        mail.text
    );

    assert_eq!(top().await["in_stock"], true);
    client.send(post("/v1/cart/items", &item)).await.expect(200);
    shop.close().await;
}
