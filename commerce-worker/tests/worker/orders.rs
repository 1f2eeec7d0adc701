//! What the shipped program does for orders: time runs out, money goes back, shoppers are told.

use std::time::Duration;

use commerce_core::flows::{self, BeginPayment, CancelledBy};
use commerce_core::ids::OrderId;
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{self, CancelReason, Order, OrderStatus, PaymentStatus};
use commerce_core::payments::{Capture, CaptureMethod, Outcome, ProviderName};
use commerce_core::request::Origin;
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{SmtpPeer, TestDatabase, guest_origin};
use tokio::process::Child;

use crate::given::{self, eventually};
use crate::program::{command, signal};

const READER: &str = "ada@example.com";
const PATIENCE: Duration = Duration::from_secs(30);

fn start(database: &TestDatabase, peer: &SmtpPeer) -> Child {
    command(database).env("SMTP_URL", peer.url()).env("COMMERCE_PAYMENT_PROVIDERS", "mock").spawn().unwrap()
}

async fn stop(mut program: Child) {
    signal(&program, "-TERM").await;
    assert!(program.wait().await.unwrap().success());
}

async fn order(database: &TestDatabase, id: OrderId) -> Order {
    orders::find(&mut *database.conn().await, id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_ends_within_a_second_of_its_time_and_its_shopper_is_told() {
    let (database, peer) = (TestDatabase::new().await, SmtpPeer::start().await.unwrap());
    let shop = ShopSettings {
        order_ttl: Duration::from_millis(2300),
        order_mail_delay: Duration::ZERO,
        ..ShopSettings::default()
    };
    let variant = database.variant(1000, 5).await;
    let program = start(&database, &peer);
    // Up and at work, so that its start is not counted.
    let (_, first) = database.order(&shop, &[(variant, 1)]).await;
    let told =
        peer.wait_for_mail(PATIENCE, READER, &format!("We have your order {}", first.order.number)).await;
    assert!(told.unwrap().text.contains("1 x thing-"));

    let (_, placed) = database.order(&shop, &[(variant, 3)]).await;
    let subject = format!("Your order {} was cancelled", placed.order.number);
    let told = peer.wait_for_mail(PATIENCE, READER, &subject).await.unwrap();
    assert!(told.text.contains("Your order was not paid in time"), "{}", told.text);
    let ended = order(&database, placed.order.id).await;
    assert_eq!((ended.status, ended.cancel_reason), (OrderStatus::Cancelled, Some(CancelReason::Expired)));
    let late = ended.cancelled_at.unwrap() - ended.expires_at.unwrap();
    println!("expired {} ms after its time", late.num_milliseconds());
    assert!((0..1000).contains(&late.num_milliseconds()), "{late}");
    given::all_done(&database).await;
    assert_eq!(database.stock(variant).await, (5, 0));
    stop(program).await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_money_of_a_cancelled_order_goes_back_once() {
    let (database, peer) = (TestDatabase::new().await, SmtpPeer::start().await.unwrap());
    let shop = ShopSettings { order_mail_delay: Duration::ZERO, ..ShopSettings::default() };
    let variant = database.variant(1250, 5).await;
    let (owner, placed) = database.order(&shop, &[(variant, 2)]).await;
    let id = placed.order.id;
    let wish = BeginPayment {
        order_id: id,
        owner,
        provider: ProviderName::MOCK,
        amount: None,
        capture_method: CaptureMethod::Automatic,
        request: serde_json::json!({ "outcome": "succeed" }),
        request_key: rand::random(),
        origin: guest_origin(),
    };
    let mut conn = database.conn().await;
    let payment = flows::begin_payment(&mut conn, wish).await.unwrap();
    let outcome = Outcome::Succeeded(Capture::new("test", Money::new(2500, Currency::USD)));
    flows::settle_payment(&mut conn, &shop, payment.id, outcome, &Origin::system()).await.unwrap();
    flows::cancel_order(&mut conn, id, CancelledBy::Admin, &Origin::system()).await.unwrap();
    drop(conn);

    let programs = [start(&database, &peer), start(&database, &peer)];
    let told = peer.wait_for_mail(PATIENCE, READER, "We are sending 25.00 USD back to you").await.unwrap();
    assert!(
        told.text.contains(&format!("Your order {} was cancelled.", placed.order.number)),
        "{}",
        told.text
    );
    given::all_done(&database).await;
    let refunded = order(&database, id).await;
    assert_eq!((refunded.payment_status, refunded.refunded_minor), (PaymentStatus::Refunded, 2500));
    let mut subjects: Vec<String> = peer.mails().iter().map(|mail| mail.subject().to_owned()).collect();
    subjects.sort();
    let number = placed.order.number;
    assert_eq!(
        subjects,
        [
            "We are sending 25.00 USD back to you".to_owned(),
            format!("Your order {number} is confirmed"),
            format!("Your order {number} was cancelled"),
        ]
    );
    for program in programs {
        stop(program).await;
    }
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_lapsed_is_given_back() {
    let (database, peer) = (TestDatabase::new().await, SmtpPeer::start().await.unwrap());
    let shop = ShopSettings {
        reservation_mode: ReservationMode::Cart,
        cart_hold_ttl: Duration::from_millis(500),
        ..ShopSettings::default()
    };
    let variant = database.variant(1000, 5).await;
    database.shopper(&shop, &[(variant, 2)]).await;
    assert_eq!(database.stock(variant).await, (5, 2));
    let program = start(&database, &peer);
    eventually("the hold is released", async || (database.stock(variant).await == (5, 0)).then_some(()))
        .await;
    stop(program).await;
    database.finish().await;
}
