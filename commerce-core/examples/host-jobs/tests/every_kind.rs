//! The host's own process runs every kind of job and every sweep, and stops cleanly. Built alone (`-p
//! host-jobs`), it runs without any feature of commerce-core.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_core::accounts::SecretKey;
use commerce_core::catalog::image::Media;
use commerce_core::catalog::{self, CategoryPatch, NewCategory, NewProduct, NewVariant, ProductStatus};
use commerce_core::flows::{self, BeginPayment, CancelledBy, CreateProduct};
use commerce_core::ids::{ImageId, OrderId, PaymentId, WithdrawalId};
use commerce_core::jobs::kinds::{
    self, CheckPayment, DeleteFiles, EndPayment, ProcessWithdrawal, ResizeImage,
};
use commerce_core::jobs::{self, Services};
use commerce_core::money::{Currency, Money};
use commerce_core::notifications::{FolderMailer, MailSettings};
use commerce_core::orders::{self, CancelReason, OrderStatus};
use commerce_core::page::Limit;
use commerce_core::payments::{
    Capture, CaptureMethod, MockProvider, Outcome, PaymentKey, PaymentProvider, ProviderName, Providers,
    WebhookEvent,
};
use commerce_core::request::Origin;
use commerce_core::search::{PostgresEngine, SearchIndex, SearchProducts, SearchSort, search_products};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, email, guest_origin};
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_does_every_kind_of_job_and_every_sweep_in_its_own_process() {
    let database = TestDatabase::new().await;
    let folder = std::env::temp_dir().join(format!("host-jobs-{}", OrderId::new()));
    let services = services(&database, &folder);
    rename_a_category_with_a_product(&database).await;
    let (cancelled, payment_id) = cancel_a_paid_order(&database, &services.shop).await;
    let mut conn = database.conn().await;
    jobs::enqueue(&conn, &CheckPayment { payment_id }).await.unwrap();
    jobs::enqueue(&conn, &EndPayment { payment_id }).await.unwrap();
    let event = WebhookEvent::Payment {
        event_id: "evt_1".to_owned(),
        payment: PaymentKey::Id(payment_id),
        outcome: Outcome::Expired,
    };
    flows::receive_webhook(&mut conn, &ProviderName::MOCK, &[event]).await.unwrap();
    flows::look_up_order(&mut conn, "1001", &email("ada@example.com")).await.unwrap();
    let withdrawal_id = WithdrawalId::new();
    jobs::enqueue(&conn, &ProcessWithdrawal { withdrawal_id }).await.unwrap();
    jobs::enqueue(&conn, &ResizeImage { image_id: ImageId::new() }).await.unwrap();
    jobs::enqueue(&conn, &DeleteFiles { keys: vec!["00000000-0000-7000-8000-000000000000.png".to_owned()] })
        .await
        .unwrap();
    drop(conn);
    let unpaid = {
        let shop = ShopSettings {
            order_ttl: Duration::from_secs(1),
            order_mail_delay: Duration::ZERO,
            ..ShopSettings::default()
        };
        let variant = database.variant(1000, 5).await;
        database.order(&shop, &[(variant, 1)]).await.1.order.id
    };
    assert_eq!(waiting_kinds(&database).await, kinds::ALL.iter().map(|kind| kind.to_string()).collect());

    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(host_jobs::work_until(services.clone(), async {
        let _ = stopped.await;
    }));
    eventually("the sweep has cancelled the unpaid order", async || {
        order(&database, unpaid).await.cancel_reason == Some(CancelReason::Expired)
    })
    .await;
    eventually("every job is done", async || waiting_kinds(&database).await.is_empty()).await;
    stop.send(()).unwrap();
    working.await.unwrap();

    let refunded = order(&database, cancelled).await;
    assert_eq!((refunded.status, refunded.refunded_minor), (OrderStatus::Cancelled, 1000));
    assert!(std::fs::read_dir(folder.join("mail")).unwrap().count() >= 4, "mails of two orders");
    assert_eq!(found(&database, "scullery").await, 1, "the job wrote what is searched");
    std::fs::remove_dir_all(folder).unwrap();
    // This also checks that no job is dead.
    database.finish().await;
}

fn services(database: &TestDatabase, folder: &Path) -> Services {
    let media = format!("file://{}", folder.join("media").display());
    Services {
        pool: database.pool().clone(),
        shop: ShopSettings { order_mail_delay: Duration::ZERO, ..ShopSettings::default() },
        mailer: Arc::new(FolderMailer::new(folder.join("mail")).unwrap()),
        mails: Arc::new(MailSettings {
            sender: "The Florist <shop@florist.example>".parse().unwrap(),
            shop_url: None,
            password_reset_url: None,
            order_url: None,
            secret_key: SecretKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap(),
            carriers: Default::default(),
            templates: Default::default(),
        }),
        providers: Providers::new([
            Arc::new(MockProvider::new("http://localhost")) as Arc<dyn PaymentProvider>
        ]),
        media: Media::open(&media, []).unwrap(),
        search_index: SearchIndex::none(),
    }
}

/// A trigger enqueues the job.
async fn rename_a_category_with_a_product(database: &TestDatabase) {
    let conn = &mut database.conn().await;
    let new = NewCategory { title: "Kitchen".to_owned(), ..Default::default() };
    let kitchen = catalog::create_category(conn, new).await.unwrap();
    let variant = NewVariant {
        sku: None,
        options: Default::default(),
        price: Money::new(1000, Currency::USD),
        compare_at_price: None,
        active: true,
        details: Default::default(),
        staff: Default::default(),
    };
    let product = NewProduct {
        slug: None,
        title: "Mug".to_owned(),
        description: String::new(),
        status: ProductStatus::Active,
        vendor: None,
        tags: Vec::new(),
        attributes: Default::default(),
        option_names: Vec::new(),
        category_ids: vec![kitchen.id],
        images: Vec::new(),
        variants: vec![variant],
    };
    let create = CreateProduct { product, stock: vec![3] };
    flows::create_product(conn, create, Currency::USD, &Origin::system()).await.unwrap();
    let patch = CategoryPatch { title: Some("Scullery".to_owned()), ..Default::default() };
    catalog::update_category(conn, kitchen.id, None, patch).await.unwrap();
}

/// Enqueues mails and a refund.
async fn cancel_a_paid_order(database: &TestDatabase, shop: &ShopSettings) -> (OrderId, PaymentId) {
    let variant = database.variant(1000, 5).await;
    let (owner, placed) = database.order(shop, &[(variant, 1)]).await;
    let conn = &mut database.conn().await;
    let begin = BeginPayment {
        order_id: placed.order.id,
        owner,
        provider: ProviderName::MOCK,
        amount: None,
        capture_method: CaptureMethod::Automatic,
        request: Default::default(),
        request_key: [7; 32],
        origin: guest_origin(),
    };
    let payment = flows::begin_payment(conn, begin).await.unwrap();
    let captured = Capture::new(format!("test_{}", payment.id), Money::new(1000, Currency::USD));
    let outcome = Outcome::Succeeded(captured);
    flows::settle_payment(conn, shop, payment.id, outcome, &Origin::system()).await.unwrap();
    flows::cancel_order(conn, placed.order.id, CancelledBy::Admin, &Origin::system()).await.unwrap();
    (placed.order.id, payment.id)
}

async fn order(database: &TestDatabase, id: OrderId) -> orders::Order {
    orders::find(&mut *database.conn().await, id).await.unwrap().unwrap()
}

async fn waiting_kinds(database: &TestDatabase) -> BTreeSet<String> {
    let waiting = jobs::list(&mut *database.conn().await, None, Limit::default()).await.unwrap();
    waiting.into_iter().map(|job| job.kind).collect()
}

async fn found(database: &TestDatabase, text: &str) -> usize {
    let wish = SearchProducts {
        text: text.to_owned(),
        categories: Vec::new(),
        price_min_minor: None,
        price_max_minor: None,
        options: Vec::new(),
        in_stock: None,
        sort: SearchSort::Relevance,
        page: 1,
        per_page: Limit::default(),
    };
    let engine = PostgresEngine::new(database.pool().clone());
    search_products(database.pool(), &engine, &wish).await.unwrap().found.len()
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
