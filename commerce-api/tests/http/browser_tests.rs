//! Swagger UI as a person meets it: in Chromium, served by the binary. And mails, as their readers do.

mod mails;

use commerce_core::accounts::Role;
use diesel_async::SimpleAsyncConnection as _;
use image::ImageFormat;
use serde_json::{Value, json};

use crate::images::{encoded, picture};
use crate::processes::{commerce_api, serve};
use crate::returns::Desk;
use crate::shop::{TestShop, get, post};
use crate::surface::Surface;
use crate::webdriver::{Browser, browser};

/// The summary line and the inside of an operation in the page.
fn block(operation: &str) -> String {
    format!("[id$='-{operation}']")
}

/// Opens an operation, sends its call, and returns the status that the page then shows.
async fn execute(browser: &Browser, operation: &str) -> String {
    let block = block(operation);
    browser.click(&format!("{block} .opblock-summary-control")).await;
    browser.click(&format!("{block} .execute")).await;
    let status = format!("{block} .live-responses-table .response .response-col_status");
    browser.until(&format!("document.querySelector({})", json!(status))).await;
    let shown = browser.run(&format!("return document.querySelector({}).innerText", json!(status))).await;
    shown.as_str().unwrap().trim().to_owned()
}

/// By the button of the page.
async fn log_in(browser: &Browser, token: &str) {
    browser.click(".auth-wrapper .authorize").await;
    browser.type_into("#auth-bearer-value", token).await;
    browser.keep_picture("swagger-ui-authorize.png").await;
    const ENTER: &str = "\u{E007}";
    browser.type_into("#auth-bearer-value", ENTER).await;
    browser.click(".modal-ux .close-modal").await;
}

/// Who leaves a field has filled it in: the page takes what is typed over 350 ms after the last letter, or at once when it is left.
const TAB: &str = "\u{E004}";

/// A form with a file, as a person fills it in.
#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_uploads_a_picture() {
    let Some(browser) = browser("swagger_ui_uploads_a_picture").await else { return };
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::CatalogueManager).await;
    let new = json!({ "title": "Mug", "price": { "amount": 1250, "currency": "USD" } });
    assert_eq!(shop.send(post("/v1/products", &new).bearer(&token)).await.status, 201);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mug.png");
    std::fs::write(&file, encoded(&picture(30, 20), ImageFormat::Png)).unwrap();
    let mut command = commerce_api(shop.database.url());
    command.env("COMMERCE_MEDIA_URL", format!("file://{}/media", folder.path().display()));
    let (server, url) = serve(command).await;

    browser.open(&format!("{url}/docs")).await;
    log_in(&browser, &token).await;
    let block = block("upload_image");
    browser.click(&format!("{block} .opblock-summary-control")).await;
    browser.type_into(&format!("{block} input[type=file]"), file.to_str().unwrap()).await;
    browser.type_into(&format!("{block} [data-param-name='id_or_slug'] input"), &format!("mug{TAB}")).await;
    browser.click(&format!("{block} .execute")).await;
    let status = json!(format!("{block} .live-responses-table .response .response-col_status"));
    browser.until(&format!("document.querySelector({status})")).await;
    let shown = browser.run(&format!("return document.querySelector({status}).innerText")).await;
    assert_eq!(shown.as_str().unwrap().trim(), "201");
    browser.keep_picture("swagger-ui-upload.png").await;

    let image = shop.send(get("/v1/products/mug")).await.json()["images"][0].clone();
    assert_eq!((&image["width"], &image["height"]), (&json!(30), &json!(20)));
    browser.quit().await;
    drop(server);
    shop.database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_lists_every_chapter_and_sends_calls() {
    let Some(browser) = browser("swagger_ui_lists_every_chapter_and_sends_calls").await else { return };
    let shop = TestShop::new().await;
    shop.database.variant(1250, 5).await;
    let (_, token) = shop.login(Role::Customer).await;
    let (server, url) = serve(commerce_api(shop.database.url())).await;

    browser.open(&format!("{url}/docs")).await;
    browser.until("document.querySelector('.opblock-tag')").await;
    let chapters = "return [...document.querySelectorAll('.opblock-tag')].map(tag => tag.dataset.tag)";
    let surface = Surface::read();
    assert_eq!(browser.run(chapters).await, json!(surface.chapters()));
    let summaries = browser
        .run("return [...document.querySelectorAll('.opblock-summary-description')].map(line => line.innerText)")
        .await;
    let summaries: Vec<&str> = summaries.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(summaries.len(), surface.operations().len());
    assert!(summaries.iter().all(|summary| !summary.is_empty()), "{summaries:?}");
    browser.keep_picture("swagger-ui.png").await;

    // Anybody may look at products.
    assert_eq!(execute(&browser, "list_products").await, "200");
    let shown =
        format!("document.querySelector(\"{} .live-responses-table\").innerText", block("list_products"));
    browser.until(&format!("{shown}.includes('next_cursor')")).await;
    browser.keep_picture("swagger-ui-products.png").await;

    // Whoever logs in with the button is sent along as such.
    assert_eq!(execute(&browser, "get_me").await, "401");
    log_in(&browser, &token).await;
    browser.click(&format!("{} .execute", block("get_me"))).await;
    let me = format!(
        "document.querySelector(\"{} .live-responses-table .response .response-col_status\")",
        block("get_me")
    );
    browser.until(&format!("{me} && {me}.innerText.trim() == '200'")).await;

    // All of it came from the server, and nothing but the refused call was complained about.
    let requested = browser.requested().await;
    assert!(
        requested.iter().any(|address| address.starts_with(&format!("{url}/v1/products"))),
        "{requested:#?}"
    );
    let outside: Vec<_> = requested
        .iter()
        .filter(|address| !address.starts_with(&url) && !address.starts_with("data:"))
        .collect();
    assert!(outside.is_empty(), "{outside:#?}");
    let complaints = browser.complaints().await;
    let complaints: Vec<_> = complaints.iter().filter(|complaint| !complaint.contains("/v1/me")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");

    browser.quit().await;
    drop(server);
    shop.database.finish().await;
}

/// The page behind the link that a guest gets by mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_and_cancels_the_order_behind_a_mailed_link() {
    let Some(browser) = browser("a_guest_sees_and_cancels_the_order_behind_a_mailed_link").await else {
        return;
    };
    let desk = Desk::new().await;
    let order = desk.paid(("Cart-Token", &desk.shop.state.cart_tokens.issue())).await;
    let (id, number) = (order["id"].as_str().unwrap(), order["number"].as_str().unwrap());
    // A title that would like to be more than text.
    const TITLE: &str = "<img src=x onerror=\"document.title = 'owned'\">";
    let titled = format!("UPDATE commerce.order_lines SET title = '{}'", TITLE.replace('\'', "''"));
    desk.shop.database.conn().await.batch_execute(&titled).await.unwrap();
    let lookup = json!({ "number": number, "email": "ada@example.com" });
    assert_eq!(desk.shop.send(post("/v1/orders/lookup", &lookup)).await.status, 202);
    desk.work().await;
    let (mailed, token) = desk.mailed_link();
    assert_eq!(mailed, id);
    let (server, url) = serve(commerce_api(desk.shop.database.url())).await;

    // Without a link, with one that does not work, and with the mailed one, all in the same window.
    let said = |text: &str| format!("document.getElementById('message').textContent.includes('{text}')");
    browser.open(&format!("{url}/order")).await;
    browser.until(&said("open the link from your mail")).await;
    browser.open(&format!("{url}/order#order={id}&token=AAAA")).await;
    browser.until(&said("does not work any more")).await;
    assert_eq!(browser.run("return document.getElementById('order').hidden").await, true);
    browser.requested().await;
    browser.on_a_screen_of(390, 844).await;
    browser.open(&format!("{url}/order#order={id}&token={token}")).await;
    browser.until("!document.getElementById('order').hidden").await;
    let shown = browser.run("return document.querySelector('main').innerText").await;
    for part in [&format!("Your order {number}"), &format!("3 × {TITLE}"), "paid", "$37.50"] {
        assert!(shown.as_str().unwrap().contains(part), "{part} in {shown}");
    }
    assert_eq!(
        browser.run("return [document.images.length, document.title]").await,
        json!([0, "Your order"])
    );
    let fits = "return document.documentElement.scrollWidth <= 390";
    assert_eq!(browser.run(fits).await, true, "it fits a phone");
    browser.keep_picture("order-page.png").await;

    // The secret is neither in the address bar nor in the address of any request, and nothing came from elsewhere.
    assert_eq!(browser.run("return location.href").await, json!(format!("{url}/order")));
    let requested = browser.requested().await;
    assert!(requested.iter().any(|address| address.ends_with(&format!("/v1/orders/{id}"))), "{requested:#?}");
    for address in &requested {
        assert!(address.starts_with(&url) || address.starts_with("data:"), "{address}");
        assert!(!address.contains(&token), "{address}");
    }

    browser.press("#cancel").await;
    browser.until("document.getElementById('status').textContent === 'cancelled'").await;
    assert_eq!(browser.run("return document.getElementById('cancel').hidden").await, true);
    browser.keep_picture("order-page-cancelled.png").await;
    desk.work().await;
    let seen = get(&format!("/v1/orders/{id}")).header("Order-Token", &token);
    let seen = desk.shop.send(seen).await.json();
    assert_eq!((&seen["status"], &seen["payment_status"]), (&json!("cancelled"), &json!("refunded")));
    // The server refused the wrong link; the page broke none of its own rules.
    let complaints = browser.complaints().await;
    let complaints: Vec<_> = complaints.iter().filter(|complaint| !complaint.contains("404")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");

    browser.quit().await;
    drop(server);
    desk.shop.database.finish().await;
}
