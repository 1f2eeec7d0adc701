//! Mails, from the event to the reader: a real Postgres, a real SMTP conversation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod languages;
mod orders;
mod own_templates;
mod servers;

use std::time::Duration;

use commerce_core::accounts::one_time_code::derive_code;
use commerce_core::accounts::{SecretKey, derive_reset_token};
use commerce_core::contact::{self, NewContactMessage};
use commerce_core::email_address::EmailAddress;
use commerce_core::ids::{CodeId, EmailId, OrderId, PaymentId, RefundId, UserId};
use commerce_core::inventory;
use commerce_core::jobs::kinds::SendEmail;
use commerce_core::jobs::{self, Failure, Job, Lease};
use commerce_core::notifications::{
    self, FolderMailer, MailSettings, Mailer, NewEmail, Recipient, SendEmailError, SendMailError, SentEmail,
    SmtpMailer, Template, enqueue_email,
};
use commerce_core::orders::derive_order_token;
use commerce_core::payments::RequiredAction;
use commerce_core::returns::ReturnStatus;
use commerce_core::testing::{ReceivedMail, SmtpBehaviour, SmtpPeer, TestDatabase, email};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};

const USER: &str = "00000000-0000-7000-8000-0000000000a1";
const CODE: &str = "00000000-0000-7000-8000-0000000000c1";
const ORDER: &str = "00000000-0000-7000-8000-0000000000e1";
const REFUND: &str = "00000000-0000-7000-8000-0000000000f1";
const SHIPMENT: &str = "00000000-0000-7000-8000-0000000000f3";
const LINK: &str = "00000000-0000-7000-8000-0000000000a4";
const RETURN: &str = "00000000-0000-7000-8000-0000000000a5";
const WITHDRAWAL: &str = "00000000-0000-7000-8000-0000000000a6";
const ANNA: &str = "anna@example.com";

/// An account with a live code, and an order of two lines in yen. Names and titles try to be more than text.
const ACCOUNT_AND_ORDER: &str = r#"
INSERT INTO commerce.users (id, email, email_verified_at, password_hash, display_name)
VALUES ('00000000-0000-7000-8000-0000000000a1', 'anna@example.com', commerce.clock(), 'x', E'Anna <b>Ång</b>\nström');
INSERT INTO commerce.one_time_codes (id, user_id, purpose, expires_at)
VALUES ('00000000-0000-7000-8000-0000000000c1', '00000000-0000-7000-8000-0000000000a1', 'verify_email',
        commerce.clock() + interval '10 minutes');
INSERT INTO commerce.products (id, slug, title) VALUES ('00000000-0000-7000-8000-0000000000b1', 'tea', 'Tea');
INSERT INTO commerce.variants (id, product_id, title, options, price_minor, currency)
VALUES ('00000000-0000-7000-8000-0000000000b2', '00000000-0000-7000-8000-0000000000b1', 'Tea', '{}', 600, 'JPY');
INSERT INTO commerce.carts (id, user_id, status)
VALUES ('00000000-0000-7000-8000-0000000000d1', '00000000-0000-7000-8000-0000000000a1', 'ordered');
INSERT INTO commerce.orders (id, number, cart_id, user_id, email, currency, subtotal_minor, shipping_minor, total_minor,
                             shipping_address, placed_at, expires_at)
VALUES ('00000000-0000-7000-8000-0000000000e1', 1001, '00000000-0000-7000-8000-0000000000d1',
        '00000000-0000-7000-8000-0000000000a1', 'anna@example.com', 'JPY', 12345, 500, 12845,
        '{"name": "Anna Ångström", "line1": "1-2-3 Ginza", "city": "Tokyo", "postal_code": "104-0061", "country": "JP"}',
        '2026-11-21 13:50:00Z', '2026-11-21 14:05:00Z');
INSERT INTO commerce.order_lines (id, order_id, variant_id, position, sku, title, quantity, unit_price_minor, line_total_minor)
VALUES ('00000000-0000-7000-8000-0000000000e2', '00000000-0000-7000-8000-0000000000e1',
        '00000000-0000-7000-8000-0000000000b2', 0, 'TEA-1', E'Green tea <script>\r\n&', 2, 600, 1200),
       ('00000000-0000-7000-8000-0000000000e3', '00000000-0000-7000-8000-0000000000e1',
        '00000000-0000-7000-8000-0000000000b2', 1, NULL, 'Teapot', 1, 11145, 11145);
"#;

const PAID_AND_CANCELLED: &str = r#"
INSERT INTO commerce.payments (id, order_id, provider, amount_minor, captured_minor, currency, status, succeeded_at)
VALUES ('00000000-0000-7000-8000-0000000000f2', '00000000-0000-7000-8000-0000000000e1', 'mock', 12845, 12845, 'JPY', 'succeeded',
        commerce.clock());
INSERT INTO commerce.refunds (id, payment_id, order_id, amount_minor, reason, dedupe_key)
VALUES ('00000000-0000-7000-8000-0000000000f1', '00000000-0000-7000-8000-0000000000f2',
        '00000000-0000-7000-8000-0000000000e1', 12845, 'order_cancelled', 'test');
INSERT INTO commerce.shipments (id, order_id, status, carrier, tracking_number, shipped_at)
VALUES ('00000000-0000-7000-8000-0000000000f3', '00000000-0000-7000-8000-0000000000e1', 'shipped', 'Yamato', 'YT 42',
        commerce.clock());
INSERT INTO commerce.shipment_lines (shipment_id, order_line_id, quantity)
VALUES ('00000000-0000-7000-8000-0000000000f3', '00000000-0000-7000-8000-0000000000e2', 1);
UPDATE commerce.orders SET status = 'cancelled', cancel_reason = 'customer', cancelled_at = commerce.clock(),
    paid_minor = 12845, paid_at = commerce.clock();
"#;

const LINK_AND_RETURN: &str = r#"
INSERT INTO commerce.order_links (id, order_id, token_hash)
VALUES ('00000000-0000-7000-8000-0000000000a4', '00000000-0000-7000-8000-0000000000e1', decode(repeat('00', 32), 'hex'));
INSERT INTO commerce.returns (id, order_id, status, answer)
VALUES ('00000000-0000-7000-8000-0000000000a5', '00000000-0000-7000-8000-0000000000e1', 'rejected', 'It was worn.');
INSERT INTO commerce.return_lines (return_id, order_line_id, quantity, reason)
VALUES ('00000000-0000-7000-8000-0000000000a5', '00000000-0000-7000-8000-0000000000e2', 2, 'other');
INSERT INTO commerce.withdrawals (id, name, email, order_number, text, confirmed_at)
VALUES ('00000000-0000-7000-8000-0000000000a6', 'Anna <b>', 'anna@example.com', '#1001', 'Both.', '2026-11-21 14:05:09.7Z');
"#;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn settings() -> MailSettings {
    MailSettings {
        sender: "Corner Shop <hello@shop.example>".parse().unwrap(),
        shop_url: Some("https://shop.example".to_owned()),
        password_reset_url: Some("https://shop.example/reset-password".to_owned()),
        order_url: Some("https://shop.example/order".to_owned()),
        secret_key: SecretKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap(),
        carriers: "Yamato=https://yamato.example/track?no={tracking_number}".parse().unwrap(),
        templates: Default::default(),
    }
}

async fn database_with(sql: &[&str]) -> TestDatabase {
    let database = TestDatabase::new().await;
    for sql in sql {
        database.conn().await.batch_execute(sql).await.unwrap();
    }
    database
}

fn anna() -> EmailAddress {
    email(ANNA)
}

async fn enqueue(database: &TestDatabase, email: NewEmail) {
    enqueue_email(&*database.conn().await, email).await.unwrap();
}

fn welcome() -> NewEmail {
    NewEmail::to_user(Template::Welcome, id(USER), &anna())
}

async fn claim(database: &TestDatabase) -> (Lease, SendEmail) {
    let mut conn = database.conn().await;
    let mut claimed =
        jobs::claim(&mut conn, "tester", &[SendEmail::KIND], 1, Duration::from_secs(10)).await.unwrap();
    let job = claimed.pop().expect("a mail is to be sent");
    (job.lease(), serde_json::from_value(job.payload).unwrap())
}

/// Takes the oldest due mail job and sends its mail, as a worker would.
async fn send_next(database: &TestDatabase, mailer: &dyn Mailer) -> Result<SentEmail, SendEmailError> {
    let (lease, job) = claim(database).await;
    notifications::send_email(database.pool(), mailer, &settings(), lease, job.email_id).await
}

async fn count(database: &TestDatabase, rows: &str) -> usize {
    use diesel_async::RunQueryDsl as _;
    let query = diesel::sql_query(format!("SELECT 1 FROM commerce.{rows}"));
    query.execute(&mut database.conn().await).await.unwrap()
}

fn scratch_folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("commerce-mail-{}", EmailId::new()))
}

/// The peer does not offer SMTPUTF8, as many servers do not.
#[tokio::test]
async fn an_international_domain_is_reached_through_any_server() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, NewEmail::to_user(Template::Welcome, id(USER), &email("anna@bücher.example"))).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    let [mail]: [ReceivedMail; 1] = peer.mails().try_into().unwrap();
    assert_eq!(mail.recipients, ["anna@xn--bcher-kva.example"]);
    assert_eq!(mail.header("to"), Some("anna@xn--bcher-kva.example"));
    database.discard().await;
}

#[tokio::test]
async fn the_mail_of_a_new_order_tells_all_there_is_to_know() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, NewEmail::about_order(Template::OrderReceived, id(ORDER), &anna())).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);

    let [mail]: [ReceivedMail; 1] = peer.mails().try_into().unwrap();
    assert_eq!(mail.recipients, [ANNA]);
    assert_eq!(mail.header("from"), Some("\"Corner Shop\" <hello@shop.example>"));
    assert_eq!(mail.header("to"), Some(ANNA));
    assert_eq!(mail.subject(), "We have your order 1001");
    assert!(mail.header("message-id").unwrap().ends_with("@shop.example>"));
    assert_eq!(
        mail.text,
        "Hello Anna <b>Ång</b> ström,

Thank you! We have your order and keep its items for you
until 21 November 2026, 14:05 UTC. As soon as it is paid, we get it ready.

Order 1001, placed on 21 November 2026

  2 x Green tea <script> & (TEA-1)
      600 JPY each, 1,200 JPY
  1 x Teapot
      11,145 JPY

  Subtotal: 12,345 JPY
  Shipping: 500 JPY
  Total: 12,845 JPY

It will go to:

  Anna Ångström
  1-2-3 Ginza
  Tokyo
  104-0061
  JP

If the order is not paid in time, it is cancelled automatically and costs you nothing.

--
Corner Shop
https://shop.example"
    );
    assert!(mail.html.contains("Green tea &lt;script&gt; &amp;"), "{}", mail.html);
    assert!(!mail.html.contains("<script"), "{}", mail.html);
    assert!(mail.html.contains("<strong>12,845 JPY</strong>"), "{}", mail.html);
    assert_eq!(count(&database, "jobs").await, 0);
    assert_eq!(count(&database, "emails WHERE sent_at IS NOT NULL").await, 1);
    database.discard().await;
}

/// Without the link that brings the customer to the provider's page, it is the same mail.
#[tokio::test]
async fn a_link_to_pay_is_mailed_in_the_place_of_the_mail_without_one() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, NewEmail::about_order(Template::OrderReceived, id(ORDER), &anna())).await;
    let url = "https://pay.example/s?a=1&b=2".to_owned();
    let action = serde_json::to_string(&RequiredAction::Redirect { url }).unwrap();
    for (payment, status) in [(PaymentId::new(), "expired"), (PaymentId::new(), "requires_action")] {
        let insert = format!(
            "INSERT INTO commerce.payments (id, order_id, provider, amount_minor, currency, status, action)
             VALUES ('{payment}', '{ORDER}', 'stripe', 12845, 'JPY', '{status}', '{action}')"
        );
        database.conn().await.batch_execute(&insert).await.unwrap();
        enqueue(&database, NewEmail::with_payment_link(id(ORDER), payment, &anna())).await;
    }
    // The mail without a link, and the one whose link is no longer good.
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    let [mail]: [ReceivedMail; 1] = peer.mails().try_into().unwrap();
    assert_eq!(mail.subject(), "We have your order 1001");
    let link = "we get it ready.\n\nPay here:\nhttps://pay.example/s?a=1&b=2\n\nOrder 1001, placed";
    assert!(mail.text.contains(link), "{}", mail.text);
    assert!(mail.html.contains(">Pay now</a>"), "{}", mail.html);
    // Whoever was told of the order by this mail is told of its end, too.
    let cancel = "UPDATE commerce.orders SET status = 'cancelled', cancel_reason = 'expired', cancelled_at = commerce.clock()";
    database.conn().await.batch_execute(cancel).await.unwrap();
    enqueue(&database, NewEmail::about_order(Template::OrderCancelled, id(ORDER), &anna())).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    database.discard().await;
}

#[tokio::test]
async fn every_mail_can_be_written() {
    let database = database_with(&[ACCOUNT_AND_ORDER, PAID_AND_CANCELLED, LINK_AND_RETURN]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    let code = derive_code(&settings().secret_key, id(CODE));
    let with_code = |template| NewEmail::with_code(template, id::<CodeId>(CODE), id(USER), &anna());
    let to_user = |template| NewEmail::to_user(template, id::<UserId>(USER), &anna());
    let about_order = |template| NewEmail::about_order(template, id::<OrderId>(ORDER), &anna());
    let about_refund = |template| NewEmail {
        template,
        dedupe_key: format!("{template}"),
        ..NewEmail::about_refund(id::<RefundId>(REFUND), &anna())
    };
    for template in Template::ALL.iter().copied() {
        let (mail, subject, says) = match template {
            Template::VerifyEmailCode => (
                with_code(template),
                format!("{code} is your code for Corner Shop"),
                format!("enter this code:\n\n    {code}\n\nIt can be used once, until "),
            ),
            Template::PasswordReset => (
                with_code(template),
                "Set a new password for Corner Shop".to_owned(),
                format!(
                    "    https://shop.example/reset-password#token={}\n\nOr enter this code",
                    derive_reset_token(&settings().secret_key, id(CODE))
                ),
            ),
            Template::EmailChangeCode => (
                with_code(template),
                format!("{code} is your code for Corner Shop"),
                format!("enter this code:\n\n    {code}\n\nIt can be used once, until "),
            ),
            Template::SetPassword => (
                with_code(template),
                "Choose a password for Corner Shop".to_owned(),
                format!(
                    "    https://shop.example/reset-password#token={}\n\nOr enter this code",
                    derive_reset_token(&settings().secret_key, id(CODE))
                ),
            ),
            Template::EmailChangeRequested => (
                to_user(template),
                "Another address for your account at Corner Shop?".to_owned(),
                "set a new password at once".to_owned(),
            ),
            Template::EmailChanged => (
                to_user(template),
                "Your account at Corner Shop has another address now".to_owned(),
                "If it was not you, please tell us.".to_owned(),
            ),
            Template::PasswordChanged => (
                to_user(template),
                "Your password at Corner Shop was changed".to_owned(),
                "If it was not, set a new password at once".to_owned(),
            ),
            Template::SecondFactorSetUp => (
                to_user(template),
                "Your login at Corner Shop asks for a second factor now".to_owned(),
                "Keep the recovery codes in a safe place.".to_owned(),
            ),
            Template::SecondFactorRemoved => (
                to_user(template),
                "Your login at Corner Shop has no second factor any more".to_owned(),
                "If you did not do or ask for this, set a new password at once".to_owned(),
            ),
            Template::AccountExists => (
                to_user(template),
                "You already have an account at Corner Shop".to_owned(),
                "Hello Anna <b>Ång</b> ström,\n".to_owned(),
            ),
            Template::Welcome => (
                to_user(template),
                "Welcome to Corner Shop".to_owned(),
                "Your address is confirmed and your account is ready".to_owned(),
            ),
            // The order is cancelled by now. The mail has a test of its own.
            Template::OrderReceived => continue,
            Template::OrderConfirmed => (
                about_order(template),
                "Your order 1001 is confirmed".to_owned(),
                "Your payment of 12,845 JPY has arrived".to_owned(),
            ),
            Template::OrderCancelled => (
                about_order(template),
                "Your order 1001 was cancelled".to_owned(),
                "As you asked, your order has been cancelled.\n\nYou have paid 12,845 JPY. We refund it"
                    .to_owned(),
            ),
            // The order is cancelled by now. These mails have tests of their own.
            Template::PaymentFailed | Template::OrderPartCancelled => continue,
            Template::OrderShipped => (
                NewEmail::about_shipment(template, id(SHIPMENT), id(ORDER), &anna()),
                "A part of your order 1001 is on its way".to_owned(),
                "  JP\n\n  Yamato: YT 42\n  https://yamato.example/track?no=YT%2042\n\nIn this parcel:\n\n  1 x Green tea"
                    .to_owned(),
            ),
            Template::OrderDelivered => (
                NewEmail::about_shipment(template, id(SHIPMENT), id(ORDER), &anna()),
                "A part of your order 1001 has arrived".to_owned(),
                "A part of your order was delivered to:\n".to_owned(),
            ),
            Template::LatePaymentAlert => (
                about_order(template),
                "Order 1001 was paid after it was cancelled".to_owned(),
                "The money is refunded to anna@example.com automatically.".to_owned(),
            ),
            Template::PaymentMismatchAlert => {
                let mut mail = about_order(template);
                mail.data["asked"] = "12845 JPY".into();
                mail.data["captured"] = "99.00 USD".into();
                mail.data["counted"] = false.into();
                (
                    mail,
                    "A payment for order 1001 differs from what was requested".to_owned(),
                    "Requested: 12,845 JPY\nReceived: 99.00 USD\n\nIt does not count towards order 1001"
                        .to_owned(),
                )
            }
            Template::OrderAuthorized => {
                (about_order(template), "Your order 1001 is confirmed".to_owned(), "12,845 JPY".to_owned())
            }
            Template::AuthorizationLapsesAlert => (
                NewEmail {
                    data: serde_json::json!({ "order_id": id::<OrderId>(ORDER), "lapses_at": "2026-12-01T12:00:00Z" }),
                    ..about_order(template)
                },
                "The payment of order 1001 is reserved until 1 December 2026, 12:00 UTC".to_owned(),
                "Please capture the payment, or ship the order, before that time.".to_owned(),
            ),
            Template::DisputeAlert => (
                NewEmail {
                    data: serde_json::json!({ "order_id": id::<OrderId>(ORDER), "amount": "12845 JPY",
                                              "reason": "fraudulent", "state": "needs_response", "more": 1 }),
                    ..about_order(template)
                },
                "A payment of order 1001 is disputed".to_owned(),
                "State: needs_response\nAnd 1 more in the last hour.\n\nPlease answer".to_owned(),
            ),
            Template::PaymentFailedAlert => (
                NewEmail {
                    data: serde_json::json!({ "order_id": id::<OrderId>(ORDER), "provider": "mock",
                                              "amount": "12845 JPY", "code": "card_declined", "more": 12 }),
                    ..NewEmail::about_order(template, id(ORDER), &anna())
                },
                "A payment for order 1001 failed".to_owned(),
                "Its reason: card_declined\nAnd 12 more in the last hour.\n\nThe customer".to_owned(),
            ),
            Template::RefundByHandAlert => (
                about_refund(template),
                "Please pay 12,845 JPY of order 1001 back".to_owned(),
                "record the refund as paid by hand.".to_owned(),
            ),
            Template::RefundFailedAlert => (
                about_refund(template),
                "12,845 JPY of order 1001 could not be sent back".to_owned(),
                "did not send 12,845 JPY back to anna@example.com.\n\nPlease retry the refund".to_owned(),
            ),
            Template::RefundMismatchAlert => (
                about_refund(template),
                "12,845 JPY of order 1001 went back twice".to_owned(),
                "The refund is counted once. Please\nrecover the rest.".to_owned(),
            ),
            Template::OrderLink => (
                NewEmail::with_order_link(id::<OrderId>(ORDER), id(LINK), &anna()),
                "Your order 1001 at Corner Shop".to_owned(),
                format!(
                    "    https://shop.example/order#order={ORDER}&token={}\n",
                    derive_order_token(&settings().secret_key, id(LINK))
                ),
            ),
            Template::ReturnUpdate => (
                NewEmail::about_return(id(RETURN), ReturnStatus::Rejected, 1, &anna()),
                "We cannot accept your return for order 1001".to_owned(),
                "It was worn.\n\n  2 x Green tea <script> &\n".to_owned(),
            ),
            Template::WithdrawalReceived => (
                NewEmail::about_withdrawal(id(WITHDRAWAL), &anna()),
                "We have received your declaration of withdrawal".to_owned(),
                "  Declared at: 21 November 2026, 14:05:09 UTC\n  Name: Anna <b>\n".to_owned(),
            ),
            Template::WithdrawalAlert => (
                NewEmail {
                    template,
                    dedupe_key: format!("{template}"),
                    ..NewEmail::about_withdrawal(id(WITHDRAWAL), &anna())
                },
                "Somebody has withdrawn from the contract of order #1001".to_owned(),
                "No order has this number and this address.".to_owned(),
            ),
            Template::PaymentRefunded => (
                NewEmail::about_refund(id::<RefundId>(REFUND), &anna()),
                "We are sending 12,845 JPY back to you".to_owned(),
                "Your order 1001 was cancelled.\nWe are sending 12,845 JPY back to you".to_owned(),
            ),
            Template::LowStockAlert => {
                let variants = database.variant(100, 3).await;
                let conn = &mut database.conn().await;
                inventory::set_low_stock_threshold(conn, variants, Some(4)).await.unwrap();
                let day = chrono::NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
                (
                    NewEmail::low_stock(day, &[variants], 2, &anna()),
                    "Low in stock: 3 variants".to_owned(),
                    ", Default: 3 available, low at 4\n\nAnd 2 more.".to_owned(),
                )
            }
            Template::ContactMessage => {
                let message = NewContactMessage {
                    name: "Anna <b>Ång</b>\r\nBcc: spy@evil.example".to_owned(),
                    email: "visitor@bücher.example".to_owned(),
                    phone: Some("+44 20 7946 0018".to_owned()),
                    message: "<b>Ång</b>\r\nBcc: spy@evil.example\r\n.\r\nHello".to_owned(),
                };
                let conn = &mut database.conn().await;
                let message = contact::insert_message(conn, &message).await.unwrap();
                (
                    NewEmail::contact_message(message.id, &anna()),
                    // A word that is not ASCII is encoded (RFC 2047).
                    "Message from Anna =?utf-8?b?PGI+w4VuZzwvYj4=?= Bcc: spy@evil.example".to_owned(),
                    "<b>Ång</b>\nBcc: spy@evil.example\n.\nHello\n\nE-mail: visitor@bücher.example\nPhone: +442079460018\n"
                        .to_owned(),
                )
            }
            _ => panic!("{template} has no test"),
        };
        enqueue(&database, mail).await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent, "{template}");
        let sent = peer.mails().pop().unwrap();
        assert_eq!(sent.recipients, [ANNA], "{template}");
        let reply_to = (template == Template::ContactMessage).then_some("visitor@xn--bcher-kva.example");
        assert_eq!(sent.header("Reply-To"), reply_to, "{template}");
        assert_eq!(sent.header("Bcc"), None, "{template}");
        // Nobody can unsubscribe from what an order, an account or the shop itself needs.
        assert!(template.is_transactional(), "{template}");
        assert_eq!(sent.header("List-Unsubscribe"), None, "{template}");
        assert_eq!(sent.subject(), subject);
        assert!(sent.text.contains(&says), "{template}: {}", sent.text);
        assert!(!sent.text.contains("\n\n\n"), "{template} has holes: {}", sent.text);
        assert!(
            sent.text.ends_with("\n\n--\nCorner Shop\nhttps://shop.example"),
            "{template}: {}",
            sent.text
        );
        assert!(sent.html.starts_with("<!doctype html>") && sent.html.ends_with("</html>"), "{}", sent.html);
        assert!(!sent.html.contains("<b>Ång"), "{template} lets markup through: {}", sent.html);
    }
    assert_eq!(peer.mails().len(), Template::ALL.len() - 3);
    database.discard().await;
}

#[tokio::test]
async fn an_order_that_came_and_went_unpaid_is_told_of_only_if_its_beginning_was() {
    for told in [false, true] {
        let database = database_with(&[ACCOUNT_AND_ORDER]).await;
        let peer = SmtpPeer::start().await.unwrap();
        let mailer = SmtpMailer::new(&peer.url()).unwrap();
        let about = |template| NewEmail::about_order(template, id(ORDER), &anna());
        enqueue(&database, about(Template::OrderReceived)).await;
        if told {
            assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
        }
        let cancel = "UPDATE commerce.orders SET status = 'cancelled', cancel_reason = 'customer', cancelled_at = commerce.clock()";
        database.conn().await.batch_execute(cancel).await.unwrap();
        enqueue(&database, about(Template::OrderCancelled)).await;
        if !told {
            assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);
        }
        let expected = if told { SentEmail::Sent } else { SentEmail::Pointless };
        assert_eq!(send_next(&database, &mailer).await.unwrap(), expected);
        assert_eq!(peer.mails().len(), if told { 2 } else { 0 });
        assert_eq!(count(&database, "emails").await, if told { 2 } else { 0 });
        database.discard().await;
    }
}

/// Whoever registers or asks for an address that is not theirs must not be able to write to its owner.
#[tokio::test]
async fn a_mail_to_an_address_that_nobody_has_proven_has_no_name_in_it() {
    let unproven = "UPDATE commerce.users SET email_verified_at = NULL";
    let database = database_with(&[ACCOUNT_AND_ORDER, unproven]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    for template in [Template::VerifyEmailCode, Template::PasswordReset, Template::EmailChangeCode] {
        if template == Template::EmailChangeCode {
            // Who asks has proven another address than the one that the code goes to.
            let proven = "UPDATE commerce.users SET email_verified_at = commerce.clock()";
            database.conn().await.batch_execute(proven).await.unwrap();
        }
        enqueue(&database, NewEmail::with_code(template, id(CODE), id(USER), &email("owner@example.com")))
            .await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
        let sent = peer.mails().pop().unwrap();
        assert!(sent.text.contains("Hello") && sent.html.contains("Hello"), "{template}: {}", sent.text);
        for part in [sent.subject(), &sent.text, &sent.html] {
            assert!(!part.contains("Anna") && !part.contains("Ång"), "{template}: {part}");
        }
    }
    database.discard().await;
}

#[tokio::test]
async fn an_event_is_told_once_and_only_if_it_happened() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let folder = scratch_folder();
    let mailer = FolderMailer::new(&folder).unwrap();
    let rolled_back = database
        .conn()
        .await
        .transaction::<(), diesel::result::Error, _>(async |conn| {
            enqueue_email(conn, welcome()).await?;
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert!(rolled_back.is_err());
    assert_eq!((count(&database, "emails").await, count(&database, "jobs").await), (0, 0));

    enqueue(&database, welcome()).await;
    enqueue(&database, welcome()).await;
    assert_eq!(count(&database, "emails").await, 1);
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::AlreadySent);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(count(&database, "jobs").await, 0);
    std::fs::remove_dir_all(folder).unwrap();
    database.discard().await;
}

#[tokio::test]
async fn a_code_that_cannot_be_used_is_not_mailed() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    let code = || NewEmail::with_code(Template::VerifyEmailCode, id(CODE), id(USER), &anna());
    enqueue(&database, code()).await;
    database.shift_clock(Duration::from_secs(601)).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);

    database.shift_clock(Duration::ZERO).await;
    let consume = "UPDATE commerce.one_time_codes SET consumed_at = commerce.clock()";
    database.conn().await.batch_execute(consume).await.unwrap();
    enqueue(&database, code()).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);
    assert_eq!(peer.mails(), []);
    assert_eq!((count(&database, "emails").await, count(&database, "jobs").await), (0, 0));
    database.discard().await;
}

#[tokio::test]
async fn a_refused_recipient_ends_it_and_everything_else_is_tried_again() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, welcome()).await;
    let (lease, job) = claim(&database).await;
    let send = async || {
        let sent =
            notifications::send_email(database.pool(), &mailer, &settings(), lease, job.email_id).await;
        sent.map_err(Failure::from)
    };

    peer.behave(SmtpBehaviour::RefuseRecipients);
    let refused = send().await;
    assert!(
        matches!(&refused, Err(Failure::Abort(error)) if error.contains("No such mailbox here")),
        "{refused:?}"
    );

    peer.behave(SmtpBehaviour::Defer);
    let deferred = send().await;
    assert!(
        matches!(&deferred, Err(Failure::Retry(error)) if error.contains("Try again later")),
        "{deferred:?}"
    );

    let address = peer.address();
    peer.stop().await;
    let down = send().await;
    assert!(matches!(&down, Err(Failure::Retry(_))), "{down:?}");

    let peer = SmtpPeer::start_on(address).await.unwrap();
    assert_eq!(send().await, Ok(SentEmail::Sent));
    assert_eq!(peer.mails().len(), 1);
    database.discard().await;
}

/// While the mail server is down, no mail uses up what its recipient may get in a day.
#[tokio::test]
async fn a_mail_about_an_unpaid_order_is_counted_once_however_often_it_is_tried() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    let unproven = Recipient::Unproven { networks: vec![("192.0.2.1".to_owned(), 1)] };
    let mail = NewEmail::about_new_order(id(ORDER), &anna(), &unproven);
    enqueue(&database, mail.clone()).await;
    let (lease, job) = claim(&database).await;
    let settings = settings();
    let send = || notifications::send_email(database.pool(), &mailer, &settings, lease, job.email_id);
    peer.behave(SmtpBehaviour::Defer);
    for _ in 0..8 {
        let deferred = send().await;
        assert!(
            matches!(deferred, Err(SendEmailError::Mailer(SendMailError::Unavailable(_)))),
            "{deferred:?}"
        );
    }
    peer.behave(SmtpBehaviour::Accept);
    assert_eq!(send().await.unwrap(), SentEmail::Sent);

    let mut outcomes = Vec::new();
    for n in 1..=5 {
        enqueue(&database, NewEmail { dedupe_key: format!("another order {n}"), ..mail.clone() }).await;
        outcomes.push(send_next(&database, &mailer).await.unwrap());
    }
    let (sent, pointless) = (SentEmail::Sent, SentEmail::Pointless);
    assert_eq!(outcomes, [sent, sent, sent, sent, pointless]);
    assert_eq!((peer.mails().len(), count(&database, "emails").await), (5, 5));
    database.discard().await;
}

#[tokio::test]
async fn a_mail_whose_answer_was_lost_comes_again_as_the_same_message() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, welcome()).await;
    peer.behave(SmtpBehaviour::DropAfterData);
    let lost = send_next(&database, &mailer).await;
    assert!(matches!(lost, Err(SendEmailError::Mailer(SendMailError::Unavailable(_)))), "{lost:?}");

    peer.behave(SmtpBehaviour::Accept);
    database.shift_clock(Duration::from_secs(11)).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    let mails = peer.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
    assert_eq!(mails[0].header("date"), mails[1].header("date"));
    assert_eq!(mails[0].text, mails[1].text);
    database.discard().await;
}

#[tokio::test]
async fn an_effect_under_a_lost_lease_is_rolled_back() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let folder = scratch_folder();
    let mailer = FolderMailer::new(&folder).unwrap();
    enqueue(&database, welcome()).await;
    let (stale, job) = claim(&database).await;
    database.shift_clock(Duration::from_secs(11)).await;
    let (current, _) = claim(&database).await;

    let send = async |lease| {
        notifications::send_email(database.pool(), &mailer, &settings(), lease, job.email_id).await
    };
    assert!(matches!(send(stale).await, Err(SendEmailError::LeaseLost(_))));
    assert_eq!(count(&database, "emails WHERE sent_at IS NOT NULL").await, 0);
    assert_eq!(send(current).await.unwrap(), SentEmail::Sent);
    // Sent twice, and still one file: it is named after the mail.
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [folder.join(format!("{}.eml", job.email_id))]);
    let mail = ReceivedMail::parse(&std::fs::read(&files[0]).unwrap());
    assert_eq!(mail.subject(), "Welcome to Corner Shop");
    assert_eq!(mail.header("to"), Some(ANNA));
    std::fs::remove_dir_all(folder).unwrap();
    database.discard().await;
}

#[tokio::test]
async fn mails_of_long_ago_are_forgotten() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let folder = scratch_folder();
    let mailer = FolderMailer::new(&folder).unwrap();
    enqueue(&database, welcome()).await;
    send_next(&database, &mailer).await.unwrap();
    enqueue(&database, NewEmail::to_user(Template::AccountExists, id(USER), &anna())).await;

    let prune = async || notifications::prune(&mut *database.conn().await, 1).await.unwrap();
    assert_eq!(prune().await, 0);
    database.shift_clock(notifications::MAILS_KEPT + Duration::from_secs(1)).await;
    assert_eq!(prune().await, 2, "also the one that was never sent");
    std::fs::remove_dir_all(folder).unwrap();
    database.discard().await;
}
