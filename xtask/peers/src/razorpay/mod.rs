//! A peer of Razorpay: orders, payments, refunds, disputes, signed webhooks, and a stand-in for its checkout.

mod api;
mod books;
mod page;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use serde_json::{Value, json};

use self::books::Books;
use crate::call::{Call, Reply};
use crate::faults::Faults;
use crate::hooks::{Hook, Hooks};
use crate::server::{Peer, RunningPeer};
use crate::signature::sign;

/// The peer. Cheap to clone.
#[derive(Clone)]
pub struct RazorpayPeer(Arc<Shared>);

struct Shared {
    key_id: String,
    key_secret: String,
    webhook_secret: String,
    books: Mutex<Books>,
    faults: Faults,
    hooks: Arc<Hooks>,
}

impl RazorpayPeer {
    /// A peer with this API key and webhook secret.
    pub fn new(key_id: &str, key_secret: &str, webhook_secret: &str) -> Self {
        Self(Arc::new(Shared {
            key_id: key_id.to_owned(),
            key_secret: key_secret.to_owned(),
            webhook_secret: webhook_secret.to_owned(),
            books: Mutex::new(Books::default()),
            faults: Faults::default(),
            hooks: Arc::default(),
        }))
    }

    /// Starts it on a loopback port; 0 means any.
    pub async fn start(&self, port: u16) -> anyhow::Result<RunningPeer> {
        RunningPeer::start(Arc::clone(&self.0) as Arc<dyn Peer>, port).await
    }

    /// Its ids have numbers after this one, so that they differ from those of a peer that ran before.
    pub fn count_ids_from(&self, number: u64) {
        self.0.books().last_id = number;
    }

    /// The faults that are to come.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The webhooks.
    pub fn hooks(&self) -> &Arc<Hooks> {
        &self.0.hooks
    }

    /// What was captured and refunded, for each payment of the shop.
    pub fn ledger(&self) -> Value {
        self.0.books().ledger()
    }

    /// The requests that this peer has refused, each with its reason.
    pub fn refusals(&self) -> Vec<String> {
        self.0.books().refusals.clone()
    }

    /// The ids of the orders so far.
    pub fn orders(&self) -> Vec<String> {
        self.0.books().orders.iter().map(|order| order.id.clone()).collect()
    }

    /// The shopper pays. Returns what the checkout gives to the shopper's browser.
    pub fn pay(&self, order: &str) -> Option<Value> {
        let payment = self.act(|books| books.pay(order))?;
        Some(self.0.confirmation(order, &payment))
    }

    /// The bank has not decided: the payment is created, and later authorized or failed.
    pub fn pay_slowly(&self, order: &str) -> Option<String> {
        self.act(|books| books.begin_payment(order))
    }

    /// The bank has decided about the payment that waits.
    pub fn settle_slow(&self, payment: &str, succeeded: bool) -> bool {
        self.act(|books| books.decide(payment, succeeded)).is_some()
    }

    /// The shopper's payment fails.
    pub fn decline(&self, order: &str) -> Option<String> {
        self.act(|books| {
            let payment = books.begin_payment(order)?;
            books.decide(&payment, false).map(|()| payment)
        })
    }

    /// Somebody captures the authorized payment of an order in the dashboard.
    pub fn capture(&self, order: &str) -> bool {
        self.act(|books| {
            let authorized = books.authorized(order);
            authorized.is_some_and(|payment| books.capture(&payment).is_some())
        })
    }

    /// Nobody has captured the authorized payment of an order in time, so its money goes back.
    pub fn let_go(&self, order: &str) -> bool {
        self.act(|books| {
            let authorized = books.authorized(order);
            authorized.is_some_and(|payment| books.let_go(&payment).is_some())
        })
    }

    /// Whether refunds stay pending until they are settled.
    pub fn set_refunds_pending(&self, pending: bool) {
        self.0.books().refunds_are_pending = pending;
    }

    /// A pending refund is processed, or it has failed.
    pub fn settle_refund(&self, refund: &str, succeeded: bool) -> bool {
        self.act(|books| books.settle_refund(refund, succeeded))
    }

    /// The shopper's bank disputes a payment. `state` is Razorpay's word: `created`, `won`, `lost` …
    pub fn dispute(&self, order: &str, state: &str) -> bool {
        self.act(|books| books.dispute(order, state))
    }

    fn act<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        let mut books = self.0.books();
        let done = act(&mut books);
        self.0.send_events(&mut books);
        done
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn confirmation(&self, order: &str, payment: &str) -> Value {
        let signature = sign(&self.key_secret, format!("{order}|{payment}").as_bytes());
        json!({ "razorpay_order_id": order, "razorpay_payment_id": payment, "razorpay_signature": signature })
    }

    fn send_events(&self, books: &mut Books) {
        for (kind, payload) in books.events.drain(..).collect::<Vec<_>>() {
            let id = books.new_id("evt");
            let contains: Vec<&String> =
                payload.as_object().map(|map| map.keys().collect()).unwrap_or_default();
            let event = json!({
                "entity": "event", "account_id": "acc_test_1", "event": kind, "contains": contains,
                "payload": payload, "created_at": Utc::now().timestamp(),
            });
            let body = event.to_string();
            let signature = sign(&self.webhook_secret, body.as_bytes());
            let headers = vec![("x-razorpay-signature", signature), ("x-razorpay-event-id", id.clone())];
            self.hooks.add(Hook { id, kind, headers, body });
        }
    }
}

impl Peer for Shared {
    fn answer(&self, call: &Call) -> Reply {
        let mut books = self.books();
        let reply = match call.parts().as_slice() {
            ["v1", "checkout.js"] => Reply::script(page::CHECKOUT),
            ["v1", ..] => api::answer(&mut books, &self.key_id, &self.key_secret, call),
            _ => page::answer(&mut books, call, |order, payment| self.confirmation(order, payment)),
        };
        self.send_events(&mut books);
        reply
    }

    /// Razorpay does not say that it keeps errors.
    fn spoil(&self, _: &Call) {}

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn hooks(&self) -> &Arc<Hooks> {
        &self.hooks
    }

    fn books(&self) -> Value {
        Shared::books(self).ledger()
    }
}
