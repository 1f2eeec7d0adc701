//! A peer of Stripe: Checkout Sessions with a hosted page, payment intents, refunds, disputes and signed webhooks.

mod api;
mod books;
mod form;
mod page;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use serde_json::{Value, json};

use self::books::Books;
use crate::call::{Call, Reply};
use crate::faults::Faults;
use crate::hooks::{Hook, Hooks};
use crate::keeping::Kept;
use crate::server::{Peer, RunningPeer};
use crate::signature::sign;

/// The version of the API whose objects this peer knows. A request without it is refused.
pub const API_VERSION: &str = "2026-10-28.endive";

/// What happens to refunds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefundBehaviour {
    /// They succeed at once.
    #[default]
    Succeed,
    /// They stay pending until they are settled.
    Pend,
    /// They are accepted, and fail at once.
    Fail,
}

/// The peer. Cheap to clone.
#[derive(Clone)]
pub struct StripePeer(Arc<Shared>);

struct Shared {
    secret_key: String,
    webhook_secret: String,
    books: Mutex<Books>,
    faults: Faults,
    hooks: Arc<Hooks>,
}

impl StripePeer {
    /// A peer with this secret key and webhook secret.
    pub fn new(secret_key: &str, webhook_secret: &str) -> Self {
        Self(Arc::new(Shared {
            secret_key: secret_key.to_owned(),
            webhook_secret: webhook_secret.to_owned(),
            books: Mutex::new(Books::default()),
            faults: Faults::default(),
            hooks: Arc::default(),
        }))
    }

    /// Starts it on a loopback port; 0 means any.
    pub async fn start(&self, port: u16) -> anyhow::Result<RunningPeer> {
        let running = RunningPeer::start(Arc::clone(&self.0) as Arc<dyn Peer>, port).await?;
        self.books().base = running.url();
        Ok(running)
    }

    /// Its ids have numbers after this one, so that they differ from those of a peer that ran before.
    pub fn count_ids_from(&self, number: u64) {
        self.books().last_id = number;
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
        self.books().ledger()
    }

    /// The requests that this peer has refused, each with its reason.
    pub fn refusals(&self) -> Vec<String> {
        self.books().refusals.clone()
    }

    /// The sessions so far, as objects of the API.
    pub fn sessions(&self) -> Vec<Value> {
        let books = self.books();
        books.sessions.iter().map(|session| books.session_object(session, false)).collect()
    }

    /// The shopper pays: the money is captured, or authorized if the session says so.
    pub fn pay(&self, session: &str) -> bool {
        self.act(|books| books.pay(session))
    }

    /// The shopper pays in a way that takes days, such as a bank debit.
    pub fn pay_slowly(&self, session: &str) -> bool {
        self.act(|books| books.pay_slowly(session))
    }

    /// The slow payment has come in, or it has failed.
    pub fn settle_slow(&self, session: &str, succeeded: bool) -> bool {
        self.act(|books| books.settle_slow(session, succeeded))
    }

    /// The shopper's card is declined. The page stays open.
    pub fn decline(&self, session: &str) -> bool {
        self.act(|books| books.decline(session))
    }

    /// The session's time has run out.
    pub fn expire(&self, session: &str) -> bool {
        self.act(|books| books.expire(session))
    }

    /// Somebody captures authorized money in the dashboard.
    pub fn capture(&self, session: &str) -> bool {
        self.act(|books| {
            let intent = books.session(session).and_then(|session| session.intent.clone());
            intent.is_some_and(|intent| books.capture(&intent))
        })
    }

    /// Somebody lets go of authorized money in the dashboard.
    pub fn let_go(&self, session: &str) -> bool {
        self.act(|books| {
            let intent = books.session(session).and_then(|session| session.intent.clone());
            intent.is_some_and(|intent| books.let_go(&intent))
        })
    }

    /// How refunds go from now on.
    pub fn set_refunds(&self, behaviour: RefundBehaviour) {
        self.books().refund_behaviour = behaviour;
    }

    /// A pending refund has succeeded or failed.
    pub fn settle_refund(&self, refund: &str, succeeded: bool) -> bool {
        self.act(|books| books.settle_refund(refund, succeeded))
    }

    /// The shopper's bank disputes a payment. `state` is Stripe's word, such as `needs_response`.
    pub fn dispute(&self, session: &str, state: &str) -> bool {
        self.act(|books| books.dispute(session, state))
    }

    /// The signature header of a webhook of this moment.
    pub fn signature(&self, body: &str) -> String {
        self.0.signature(body)
    }

    fn act(&self, act: impl FnOnce(&mut Books) -> bool) -> bool {
        let mut books = self.books();
        let done = act(&mut books);
        self.0.send_events(&mut books);
        done
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books()
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signature(&self, body: &str) -> String {
        let time = Utc::now().timestamp();
        format!("t={time},v1={}", sign(&self.webhook_secret, format!("{time}.{body}").as_bytes()))
    }

    fn send_events(&self, books: &mut Books) {
        for (kind, object) in books.events.drain(..).collect::<Vec<_>>() {
            let id = books.new_id("evt");
            let event = json!({
                "id": id, "object": "event", "api_version": API_VERSION, "created": Utc::now().timestamp(),
                "livemode": false, "type": kind, "data": { "object": object },
            });
            let body = event.to_string();
            let headers = vec![("stripe-signature", self.signature(&body))];
            self.hooks.add(Hook { id, kind, headers, body });
        }
    }
}

impl Peer for Shared {
    fn answer(&self, call: &Call) -> Reply {
        let mut books = self.books();
        let reply = match call.path.first().map(String::as_str) {
            Some("v1") => api::answer(&mut books, &self.secret_key, call),
            _ => page::answer(&mut books, call),
        };
        self.send_events(&mut books);
        reply
    }

    fn spoil(&self, call: &Call) {
        if let Some(key) = call.header("idempotency-key") {
            let reply = Reply::json(500, &json!({ "error": { "type": "api_error" } }));
            self.books().kept.insert(key.to_owned(), Kept { request: api::identity(call), reply });
        }
    }

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
