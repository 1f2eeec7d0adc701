use std::time::Duration;

use chrono::{TimeDelta, Utc};
use commerce_core::money::{Currency, Money};
use commerce_core::payments::{
    CaptureMethod, Invoice, Outcome, Payment, PaymentKey, PaymentProvider as _, ProviderError, ProviderName,
    RefundKey, RefundOutcome, RequiredAction, StripeProvider, StripeSettings, WebhookDelivery, WebhookError,
    WebhookEvent,
};
use commerce_peers::stripe::{RefundBehaviour, StripePeer};
use commerce_peers::{Fault, RunningPeer};
use serde_json::{Value, json};

use crate::given::{captured, delivery, headers, invoice, payment, refund, settle};

const KEY: &str = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";
const WEBHOOK_SECRET: &str = "whsec_test_secret";
const CREATE: &str = "POST /v1/checkout/sessions";

struct World {
    peer: StripePeer,
    provider: StripeProvider,
    running: RunningPeer,
}

fn settings(base: &str) -> StripeSettings {
    let success_url = "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}";
    let mut settings = StripeSettings::new(KEY, success_url, "https://shop.example/cart");
    settings.webhook_secrets = vec!["whsec_former".to_owned(), WEBHOOK_SECRET.to_owned()];
    settings.api_base = base.to_owned();
    settings.timeout = Duration::from_millis(500);
    settings
}

async fn world() -> World {
    let peer = StripePeer::new(KEY, WEBHOOK_SECRET);
    let running = peer.start(0).await.unwrap();
    let provider = StripeProvider::new(settings(&running.url())).unwrap();
    World { peer, provider, running }
}

fn usd() -> Currency {
    Currency::USD
}

impl World {
    /// Begins an attempt whose session Stripe makes. Every answer is lost.
    async fn lose(&self, payment: &Payment, invoice: &Invoice) {
        for _ in 0..3 {
            self.peer.faults().add(CREATE, Fault::HangAfter);
        }
        self.provider.start(payment, invoice).await.unwrap_err();
    }

    /// An attempt whose session is open.
    async fn started(&self, method: CaptureMethod) -> (Payment, String) {
        let invoice = invoice(usd());
        let mut payment = payment(ProviderName::STRIPE, &invoice);
        payment.capture_method = method;
        let id = self.start(&mut payment, &invoice).await;
        (payment, id)
    }

    async fn start(&self, payment: &mut Payment, invoice: &Invoice) -> String {
        let outcome = self.provider.start(payment, invoice).await.unwrap();
        settle(payment, &outcome);
        let Outcome::RequiresAction { reference, action: RequiredAction::Redirect { url } } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(url, format!("{}/pay/{reference}", self.running.url()));
        reference
    }

    /// An attempt that was paid, as the shop knows it.
    async fn paid(&self) -> (Payment, String) {
        let (mut payment, session) = self.started(CaptureMethod::Automatic).await;
        assert!(self.peer.pay(&session));
        let outcome = self.provider.confirm(&payment, &Value::Null).await.unwrap();
        settle(&mut payment, &outcome);
        (payment, session)
    }

    async fn status(&self, payment: &Payment) -> Option<Outcome> {
        self.provider.attempt_status(payment).await.unwrap()
    }

    /// What the peer has in its books for the attempt.
    fn books(&self, payment: &Payment) -> (i64, i64) {
        let ledger = self.peer.ledger();
        let entry = &ledger[payment.id.to_string()];
        (entry["captured"].as_i64().unwrap_or(0), entry["refunded"].as_i64().unwrap_or(0))
    }

    /// What the webhooks so far say.
    fn events(&self) -> Vec<WebhookEvent> {
        let hooks = self.peer.hooks().all();
        let read = hooks.iter().map(|hook| self.provider.webhook(&delivery(&headers(hook), hook)).unwrap());
        read.flatten().collect()
    }
}

#[tokio::test]
async fn a_session_has_the_lines_of_the_order_and_its_ids() {
    let world = world().await;
    let (payment, id) = world.started(CaptureMethod::Automatic).await;
    let session = world.peer.sessions().pop().unwrap();
    let ids = json!({ "order_id": payment.order_id.to_string(), "payment_id": payment.id.to_string() });
    assert_eq!(session["metadata"], ids);
    assert_eq!(session["client_reference_id"], payment.id.to_string());
    assert_eq!(session["customer_email"], "ada@example.com");
    assert_eq!((session["amount_total"].as_i64(), session["currency"].as_str()), (Some(4150), Some("usd")));
    let lives = session["expires_at"].as_i64().unwrap() - Utc::now().timestamp();
    assert!((3500..=3600).contains(&lives), "{lives}");
    let page = String::from_utf8(http_get(&format!("{}/pay/{id}", world.running.url())).await).unwrap();
    for line in
        ["2 × Book &amp; Sons: 30.00 USD", "1 × Pen: 5.00 USD", "1 × Shipping: 5.00 USD", "1 × Tax: 1.50 USD"]
    {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(world.peer.refusals().is_empty(), "{:?}", world.peer.refusals());
}

async fn http_get(url: &str) -> Vec<u8> {
    use http_body_util::BodyExt as _;
    let url = url::Url::parse(url).unwrap();
    let stream = tokio::net::TcpStream::connect(url.authority()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(url.path()).header("host", url.authority());
    let answer = sender.send_request(request.body(String::new()).unwrap()).await.unwrap();
    answer.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn what_stripe_cannot_show_line_by_line_is_one_line() {
    let world = world().await;
    let total = |session: &Value| (session["amount_total"].as_i64().unwrap(), session["id"].clone());
    let mut discounted = invoice(usd());
    (discounted.order.discount_minor, discounted.order.total_minor) = (150, 4000);
    let part = invoice(usd());
    let mut long = invoice(usd());
    let line = long.lines[1].clone();
    long.lines = vec![line; 101];
    for (invoice, amount_minor, shown) in
        [(discounted, 4000, "40.00 USD"), (part, 1000, "10.00 USD"), (long, 4150, "41.50 USD")]
    {
        let mut payment = payment(ProviderName::STRIPE, &invoice);
        payment.amount_minor = amount_minor;
        let id = world.start(&mut payment, &invoice).await;
        assert_eq!(total(&world.peer.sessions().pop().unwrap()), (amount_minor, json!(id)));
        let page = String::from_utf8(http_get(&format!("{}/pay/{id}", world.running.url())).await).unwrap();
        assert!(page.contains(&format!("1 × Order 1001: {shown}")), "{page}");
    }
}

#[tokio::test]
async fn amounts_are_in_stripes_units() {
    let world = world().await;
    for (code, ours, theirs) in [("JPY", 4150, 4150), ("ISK", 4150, 415_000), ("KWD", 4150, 4150)] {
        let invoice = invoice(code.parse().unwrap());
        let mut payment = payment(ProviderName::STRIPE, &invoice);
        let id = world.start(&mut payment, &invoice).await;
        assert_eq!(world.peer.sessions().pop().unwrap()["amount_total"], theirs, "{code}");
        world.peer.pay(&id);
        let paid = world.status(&payment).await.unwrap();
        assert_eq!(captured(&paid), Money::new(ours, code.parse().unwrap()));
    }
    let invoice = invoice("KWD".parse().unwrap());
    let mut odd = payment(ProviderName::STRIPE, &invoice);
    odd.amount_minor = 4151;
    let refused = world.provider.start(&odd, &invoice).await;
    assert!(matches!(refused, Err(ProviderError::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_payment_is_confirmed_refunded_in_part_and_never_above_what_was_captured() {
    let world = world().await;
    let (payment, _) = world.started(CaptureMethod::Automatic).await;
    assert!(matches!(world.status(&payment).await, Some(Outcome::RequiresAction { .. })));
    let (payment, _) = world.paid().await;
    let Some(Outcome::Succeeded(capture)) = world.status(&payment).await else { panic!("not paid") };
    assert_eq!((capture.captured, capture.fee), (Money::new(4150, usd()), Some(Money::new(30, usd()))));
    assert!(capture.reference.starts_with("pi_"));

    let part = refund(&payment, 1000);
    assert_eq!(world.provider.refund_status(&payment, &part).await.unwrap(), None);
    let first = world.provider.refund(&payment, &part).await.unwrap();
    assert!(matches!(first, RefundOutcome::Succeeded { .. }));
    assert_eq!(world.provider.refund(&payment, &part).await.unwrap(), first, "the same key refunds once");
    assert_eq!(world.provider.refund_status(&payment, &part).await.unwrap(), Some(first));
    let too_much = world.provider.refund(&payment, &refund(&payment, 4000)).await;
    assert!(matches!(too_much, Err(ProviderError::Refused { .. })), "{too_much:?}");
    world.provider.refund(&payment, &refund(&payment, 3150)).await.unwrap();
    let again = world.provider.refund(&payment, &refund(&payment, 1)).await;
    let Err(ProviderError::Refused { cause, .. }) = again else { panic!("{again:?}") };
    assert_eq!(cause.to_string(), "charge_already_refunded");
    assert_eq!(world.books(&payment), (4150, 4150));
}

#[tokio::test]
async fn a_refund_that_was_retried_stands_for_all_its_attempts() {
    let world = world().await;
    let (payment, _) = world.paid().await;
    let mut wish = refund(&payment, 1000);
    world.peer.set_refunds(RefundBehaviour::Fail);
    let RefundOutcome::Failed { reference: Some(first), code } =
        world.provider.refund(&payment, &wish).await.unwrap()
    else {
        panic!("not failed")
    };
    assert_eq!(code, "expired_or_canceled_card");
    wish.attempt = 2;
    world.peer.set_refunds(RefundBehaviour::Pend);
    let RefundOutcome::Pending { reference: second } = world.provider.refund(&payment, &wish).await.unwrap()
    else {
        panic!("not pending")
    };
    assert_ne!(first, second);
    let status = world.provider.refund_status(&payment, &wish).await.unwrap();
    assert_eq!(status, Some(RefundOutcome::Pending { reference: second.clone() }));
    world.peer.settle_refund(&second, true);
    let status = world.provider.refund_status(&payment, &wish).await.unwrap();
    assert_eq!(status, Some(RefundOutcome::Succeeded { reference: second }));
    assert_eq!(world.books(&payment), (4150, 1000));
}

#[tokio::test]
async fn authorized_money_is_captured_in_part_or_let_go() {
    let world = world().await;
    let (mut payment, session) = world.started(CaptureMethod::Manual).await;
    world.peer.pay(&session);
    let outcome = world.status(&payment).await.unwrap();
    let Outcome::Authorized(authorization) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(authorization.authorized, Money::new(4150, usd()));
    let lapses_in = authorization.lapses_at.unwrap() - Utc::now();
    assert!(lapses_in > TimeDelta::days(6) && lapses_in <= TimeDelta::days(7));
    settle(&mut payment, &outcome);
    let part = Money::new(4000, usd());
    let outcome = world.provider.capture(&payment, part).await.unwrap();
    assert_eq!(captured(&outcome), part);
    assert_eq!(world.provider.capture(&payment, part).await.unwrap(), outcome, "the same key captures once");
    settle(&mut payment, &outcome);
    assert_eq!(captured(&world.provider.expire(&payment).await.unwrap()), part, "it is too late to let go");
    assert_eq!(world.books(&payment), (4000, 0));

    let (mut payment, session) = world.started(CaptureMethod::Manual).await;
    world.peer.pay(&session);
    // The shop does not know yet that it is authorized.
    assert_eq!(world.provider.expire(&payment).await.unwrap(), Outcome::Expired);
    assert_eq!(world.status(&payment).await, Some(Outcome::Expired));
    let outcome = Outcome::Expired;
    settle(&mut payment, &outcome);
    let refused = world.provider.capture(&payment, part).await;
    let Err(ProviderError::Refused { cause, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(cause.to_string(), "payment_intent_unexpected_state");
}

#[tokio::test]
async fn an_open_session_ends_and_a_finished_one_tells_the_truth() {
    let world = world().await;
    let (payment, session) = world.started(CaptureMethod::Automatic).await;
    world.peer.decline(&session);
    assert!(
        matches!(world.status(&payment).await, Some(Outcome::RequiresAction { .. })),
        "another card may do"
    );
    assert_eq!(world.provider.expire(&payment).await.unwrap(), Outcome::Expired);
    assert_eq!(world.provider.expire(&payment).await.unwrap(), Outcome::Expired);
    assert!(!world.peer.pay(&session), "nobody can pay any more");

    let (payment, session) = world.started(CaptureMethod::Automatic).await;
    world.peer.pay(&session);
    let outcome = world.provider.expire(&payment).await.unwrap();
    assert_eq!(captured(&outcome), Money::new(4150, usd()));

    for (succeeded, expected) in [(true, None), (false, Some("debit_not_authorized"))] {
        let (payment, session) = world.started(CaptureMethod::Automatic).await;
        world.peer.pay_slowly(&session);
        let outcome = world.provider.expire(&payment).await.unwrap();
        assert_eq!(outcome, Outcome::Processing { reference: session.clone() });
        world.peer.settle_slow(&session, succeeded);
        match (world.status(&payment).await.unwrap(), expected) {
            (Outcome::Succeeded(capture), None) => assert_eq!(capture.captured.amount_minor, 4150),
            (Outcome::Failed { code, .. }, Some(expected)) => assert_eq!(code, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_again_and_nothing_is_done_twice() {
    let world = world().await;
    let invoice = invoice(usd());
    // The connection hangs once: the same request is sent again with the same key.
    for fault in [Fault::HangAfter, Fault::HangBefore, Fault::ErrorBefore, Fault::Conflict] {
        let sessions = world.peer.sessions().len();
        let mut payment = payment(ProviderName::STRIPE, &invoice);
        world.peer.faults().add(CREATE, fault);
        world.start(&mut payment, &invoice).await;
        assert_eq!(world.peer.sessions().len(), sessions + 1, "{fault:?}");
    }
    // Stripe keeps an error as the answer. The session is found in the list.
    let mut lost = payment(ProviderName::STRIPE, &invoice);
    assert_eq!(world.status(&lost).await, None);
    world.peer.faults().add(CREATE, Fault::ErrorAfter);
    let sessions = world.peer.sessions().len();
    let outcome = world.provider.start(&lost, &invoice).await.unwrap();
    assert_eq!(world.peer.sessions().len(), sessions + 1);
    settle(&mut lost, &outcome);
    let session = lost.provider_reference.clone().unwrap();
    world.peer.pay(&session);
    assert_eq!(captured(&world.status(&lost).await.unwrap()).amount_minor, 4150);
    // An attempt whose request never arrived has nothing to end; a lost session is ended.
    let never = payment(ProviderName::STRIPE, &invoice);
    assert_eq!(world.provider.expire(&never).await.unwrap(), Outcome::Expired);
    let lost = payment(ProviderName::STRIPE, &invoice);
    world.lose(&lost, &invoice).await;
    assert_eq!(world.provider.expire(&lost).await.unwrap(), Outcome::Expired);
    assert_eq!(world.peer.sessions().pop().unwrap()["status"], "expired");
}

#[tokio::test]
async fn an_attempt_keeps_its_session_if_the_order_changes_before_it_is_asked_for_again() {
    let world = world().await;
    let first = invoice(usd());
    let mut changed = first.clone();
    changed.order.expires_at = changed.order.expires_at.map(|at| at + TimeDelta::hours(6));
    changed.order.cancelled_minor = 500;
    changed.lines[1].cancelled_quantity = 1;
    let mut attempt = payment(ProviderName::STRIPE, &first);
    world.lose(&attempt, &first).await;
    let session = world.start(&mut attempt, &changed).await;
    assert_eq!(world.peer.sessions().len(), 1, "another key would make another session");
    assert!(world.peer.refusals()[0].contains("same parameters"), "{:?}", world.peer.refusals());
    assert!(world.peer.pay(&session));
    assert_eq!(captured(&world.status(&attempt).await.unwrap()), Money::new(4150, usd()), "as it began");

    // Stripe keeps an error for the key, and knows no session. The attempt stays open, and nobody can pay it.
    let unknown = payment(ProviderName::STRIPE, &first);
    world.peer.faults().add(CREATE, Fault::ErrorKept);
    world.peer.faults().add("GET /v1/checkout/sessions", Fault::TooMany { retry_after: 60 });
    world.provider.start(&unknown, &first).await.unwrap_err();
    let error = world.provider.start(&unknown, &changed).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
    assert_eq!(world.peer.sessions().len(), 1);
    assert_eq!(world.provider.expire(&unknown).await.unwrap(), Outcome::Expired);
}

#[tokio::test]
async fn a_lost_session_is_found_behind_hundreds_of_others() {
    let world = world().await;
    let invoice = invoice(usd());
    let lost = payment(ProviderName::STRIPE, &invoice);
    world.lose(&lost, &invoice).await;
    for _ in 0..250 {
        world.provider.start(&payment(ProviderName::STRIPE, &invoice), &invoice).await.unwrap();
    }
    let found = world.status(&lost).await;
    assert!(matches!(found, Some(Outcome::RequiresAction { .. })), "{found:?}");
}

#[tokio::test]
async fn refunds_and_captures_survive_lost_answers() {
    let world = world().await;
    for fault in [Fault::HangAfter, Fault::HangBefore, Fault::ErrorBefore, Fault::ErrorAfter] {
        let (payment, _) = world.paid().await;
        let wish = refund(&payment, 4150);
        world.peer.faults().add("POST /v1/refunds", fault);
        let answer = world.provider.refund(&payment, &wish).await;
        match fault {
            Fault::ErrorAfter => {
                assert!(matches!(answer, Err(ProviderError::Unreachable { .. })), "{answer:?}")
            }
            _ => assert!(matches!(answer, Ok(RefundOutcome::Succeeded { .. })), "{answer:?}"),
        }
        let status = world.provider.refund_status(&payment, &wish).await.unwrap();
        assert!(matches!(status, Some(RefundOutcome::Succeeded { .. })), "{status:?}");
        assert_eq!(world.books(&payment), (4150, 4150), "{fault:?}");

        let (mut payment, session) = world.started(CaptureMethod::Manual).await;
        world.peer.pay(&session);
        let outcome = world.status(&payment).await.unwrap();
        settle(&mut payment, &outcome);
        world.peer.faults().add("POST /v1/payment_intents/{id}/capture", fault);
        let answer = world.provider.capture(&payment, Money::new(4150, usd())).await;
        assert!(answer.is_ok(), "{fault:?}: {answer:?}");
        assert_eq!(captured(&world.status(&payment).await.unwrap()).amount_minor, 4150, "{fault:?}");
    }
}

#[tokio::test]
async fn an_error_of_stripe_does_not_keep_a_session_open() {
    let world = world().await;
    for fault in [Fault::HangAfter, Fault::HangBefore, Fault::ErrorBefore, Fault::ErrorAfter] {
        let (payment, session) = world.started(CaptureMethod::Automatic).await;
        world.peer.faults().add("POST /v1/checkout/sessions/{id}/expire", fault);
        assert_eq!(world.provider.expire(&payment).await.unwrap(), Outcome::Expired, "{fault:?}");
        assert!(!world.peer.pay(&session));

        let (payment, session) = world.started(CaptureMethod::Manual).await;
        world.peer.pay(&session);
        world.peer.faults().add("POST /v1/payment_intents/{id}/cancel", fault);
        assert_eq!(world.provider.expire(&payment).await.unwrap(), Outcome::Expired, "{fault:?}");
        assert_eq!(world.peer.ledger()[payment.id.to_string()]["authorized"], 0);
    }
}

#[tokio::test]
async fn a_busy_peer_is_asked_again_after_its_pause_and_not_for_ever() {
    let world = world().await;
    let invoice = invoice(usd());
    let mut attempt = payment(ProviderName::STRIPE, &invoice);
    world.peer.faults().add(CREATE, Fault::TooMany { retry_after: 1 });
    let begun = std::time::Instant::now();
    world.start(&mut attempt, &invoice).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // It asks for more than a shopper waits.
    world.peer.faults().add(CREATE, Fault::TooMany { retry_after: 60 });
    let begun = std::time::Instant::now();
    let busy = world.provider.start(&payment(ProviderName::STRIPE, &invoice), &invoice).await;
    assert!(matches!(busy, Err(ProviderError::Unreachable { .. })), "{busy:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    // Three times is enough.
    for _ in 0..4 {
        world.peer.faults().add(CREATE, Fault::ErrorBefore);
    }
    let down = world.provider.start(&payment(ProviderName::STRIPE, &invoice), &invoice).await;
    assert!(matches!(down, Err(ProviderError::Unreachable { .. })), "{down:?}");
    world.start(&mut payment(ProviderName::STRIPE, &invoice), &invoice).await;
}

#[tokio::test]
async fn a_wrong_key_ends_nothing_and_is_told_to_nobody() {
    let world = world().await;
    let (payment, _) = world.started(CaptureMethod::Automatic).await;
    let mut wrong = settings(&world.running.url());
    wrong.secret_key = "sk_live_wrong".to_owned();
    let provider = StripeProvider::new(wrong.clone()).unwrap();
    let error = provider.expire(&payment).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
    for shown in [format!("{error}"), format!("{error:?}"), format!("{wrong:?}")] {
        assert!(!shown.contains("sk_live_wrong"), "{shown}");
    }
    let nobody = StripeProvider::new(settings("http://127.0.0.1:9")).unwrap();
    let error = nobody.expire(&payment).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
}

fn outcomes(events: &[WebhookEvent], payment: &Payment) -> Vec<Outcome> {
    let of_it = |event: &WebhookEvent| match event {
        WebhookEvent::Payment { payment: PaymentKey::Id(id), outcome, .. } if *id == payment.id => {
            Some(outcome.clone())
        }
        _ => None,
    };
    events.iter().filter_map(of_it).collect()
}

#[tokio::test]
async fn webhooks_say_what_happened() {
    let world = world().await;
    let (payment, session) = world.started(CaptureMethod::Automatic).await;
    world.peer.decline(&session);
    world.peer.pay(&session);
    let told = outcomes(&world.events(), &payment);
    assert_eq!(told.len(), 2, "the declined card is ignored: {told:?}");
    assert!(told.iter().all(|outcome| captured(outcome) == Money::new(4150, usd())));
    assert_eq!(told[0], told[1], "both have the same reference");

    let (manual, session) = world.started(CaptureMethod::Manual).await;
    world.peer.pay(&session);
    let told = outcomes(&world.events(), &manual);
    let [Outcome::Authorized(authorization), Outcome::Processing { .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(authorization.authorized, Money::new(4150, usd()));
    world.provider.expire(&manual).await.unwrap();
    assert_eq!(outcomes(&world.events(), &manual).last(), Some(&Outcome::Expired));

    let (slow, session) = world.started(CaptureMethod::Automatic).await;
    world.peer.pay_slowly(&session);
    world.peer.settle_slow(&session, false);
    let told = outcomes(&world.events(), &slow);
    assert!(matches!(&told[..], [Outcome::Processing { .. }, Outcome::Failed { .. }]), "{told:?}");

    let (open, session) = world.started(CaptureMethod::Automatic).await;
    world.peer.expire(&session);
    assert_eq!(outcomes(&world.events(), &open), [Outcome::Expired]);
}

#[tokio::test]
async fn webhooks_about_refunds_and_disputes_find_their_payment() {
    let world = world().await;
    let (payment, session) = world.paid().await;
    let wish = refund(&payment, 1000);
    world.peer.set_refunds(RefundBehaviour::Pend);
    let RefundOutcome::Pending { reference } = world.provider.refund(&payment, &wish).await.unwrap() else {
        panic!("not pending")
    };
    world.peer.settle_refund(&reference, true);
    world.peer.dispute(&session, "needs_response");
    let events = world.events();
    let refunds: Vec<&RefundOutcome> = events
        .iter()
        .filter_map(|event| match event {
            WebhookEvent::Refund { refund: RefundKey::Id(id), outcome, .. } if *id == wish.id => {
                Some(outcome)
            }
            _ => None,
        })
        .collect();
    assert!(
        matches!(&refunds[..], [RefundOutcome::Pending { .. }, RefundOutcome::Succeeded { .. }]),
        "{refunds:?}"
    );
    let Some(WebhookEvent::Dispute { payment: key, dispute, .. }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(*key, PaymentKey::Reference(payment.provider_reference.unwrap()));
    assert_eq!((dispute.amount, dispute.state.as_str()), (Money::new(4150, usd()), "needs_response"));
}

#[tokio::test]
async fn only_what_stripe_signed_just_now_is_believed() {
    let world = world().await;
    let (_, session) = world.paid().await;
    let _ = session;
    let hook = world.peer.hooks().all().pop().unwrap();
    let good = headers(&hook);
    let read = |headers: &http::HeaderMap, body: &str, after: i64| {
        let at = Utc::now() + TimeDelta::seconds(after);
        world.provider.webhook(&WebhookDelivery::new(headers, body.as_bytes(), at))
    };
    assert!(read(&good, &hook.body, 0).is_ok());
    assert!(read(&good, &hook.body, 290).is_ok());
    assert!(matches!(read(&good, &hook.body, 310), Err(WebhookError::Unverified)));
    assert!(matches!(read(&good, &hook.body, -310), Err(WebhookError::Unverified)));
    assert!(matches!(read(&good, &format!("{} ", hook.body), 0), Err(WebhookError::Unverified)));
    assert!(matches!(read(&http::HeaderMap::new(), &hook.body, 0), Err(WebhookError::Unverified)));
    let signature = good["stripe-signature"].to_str().unwrap();
    let (time, v1) = signature.split_once(',').unwrap();
    for (header, is_right) in [
        (format!("{time},v1=00,{v1}"), true),
        (format!("{time}, v0=00 , {v1}"), true),
        (format!("{v1},{time}"), true),
        (format!("{time},{}", v1.replace("v1", "v0")), false),
        (format!("t=1,{v1}"), false),
        (format!("{time},t=1,{v1}"), false),
        (v1.to_owned(), false),
        (time.to_owned(), false),
        (String::new(), false),
    ] {
        let mut headers = good.clone();
        headers.insert("stripe-signature", header.parse().unwrap());
        assert_eq!(read(&headers, &hook.body, 0).is_ok(), is_right, "{header}");
    }
    let body = "this is signed, but not JSON";
    let mut headers = good.clone();
    headers.insert("stripe-signature", world.peer.signature(body).parse().unwrap());
    assert!(matches!(read(&headers, body, 0), Err(WebhookError::Unreadable(_))));
    let mut without = settings(&world.running.url());
    without.webhook_secrets.clear();
    let without = StripeProvider::new(without).unwrap();
    assert!(matches!(without.webhook(&delivery(&good, &hook)), Err(WebhookError::NotExpected)));
}
