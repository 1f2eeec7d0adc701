//! What the peer knows, what happens to it, and its objects as the API shows them.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::{Value, json};

use super::RefundBehaviour;
use crate::keeping::{Kept, Ledger, Sums};

pub(super) type Metadata = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub name: String,
    pub quantity: i64,
    pub unit_amount: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub id: String,
    pub created: i64,
    pub expires_at: i64,
    pub status: &'static str,
    pub payment_status: &'static str,
    pub amount_total: i64,
    pub currency: String,
    pub client_reference_id: Option<String>,
    pub customer_email: Option<String>,
    pub success_url: String,
    pub cancel_url: Option<String>,
    pub lines: Vec<Line>,
    pub metadata: Metadata,
    pub intent_metadata: Metadata,
    pub is_manual: bool,
    pub intent: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub id: String,
    pub status: &'static str,
    pub amount: i64,
    pub amount_capturable: i64,
    pub amount_received: i64,
    pub currency: String,
    pub metadata: Metadata,
    pub error: Option<&'static str>,
    pub created: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Refund {
    pub id: String,
    pub intent: String,
    pub amount: i64,
    pub currency: String,
    pub status: &'static str,
    pub metadata: Metadata,
    pub created: i64,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    pub base: String,
    pub sessions: Vec<Session>,
    pub intents: Vec<Intent>,
    pub refunds: Vec<Refund>,
    pub kept: BTreeMap<String, Kept>,
    pub refusals: Vec<String>,
    pub refund_behaviour: RefundBehaviour,
    /// Names and objects of events that are not sent yet.
    pub events: Vec<(String, Value)>,
    /// The number in the last id.
    pub last_id: u64,
}

/// The fee of every payment.
const FEE: i64 = 30;

/// An authorization lapses after seven days.
const HOLD_SECONDS: i64 = 7 * 24 * 3600;

impl Books {
    pub fn new_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}_test_{:08}", self.last_id)
    }

    pub fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    pub fn session_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    pub fn intent(&self, id: &str) -> Option<&Intent> {
        self.intents.iter().find(|intent| intent.id == id)
    }

    pub fn intent_mut(&mut self, id: &str) -> Option<&mut Intent> {
        self.intents.iter_mut().find(|intent| intent.id == id)
    }

    /// What was refunded of a payment, or will be.
    pub fn refunded(&self, intent: &str) -> i64 {
        let of_it = self.refunds.iter().filter(|refund| refund.intent == intent && refund.status != "failed");
        of_it.map(|refund| refund.amount).sum()
    }

    pub fn ledger(&self) -> Value {
        let mut ledger = Ledger::default();
        for intent in &self.intents {
            let Some(payment) = intent.metadata.get("payment_id") else { continue };
            let money = Sums {
                captured: intent.amount_received,
                authorized: intent.amount_capturable,
                refunded: self.refunded(&intent.id),
            };
            ledger.add(payment, &intent.currency, money);
        }
        ledger.into()
    }

    /// The open session, with a payment intent that begins now or has begun with a declined card.
    fn begin_intent(&mut self, id: &str) -> Option<String> {
        let session = self.session(id).filter(|session| session.status == "open")?.clone();
        if let Some(intent) = session.intent {
            return Some(intent);
        }
        let intent = Intent {
            id: self.new_id("pi"),
            status: "requires_payment_method",
            amount: session.amount_total,
            amount_capturable: 0,
            amount_received: 0,
            currency: session.currency,
            metadata: session.intent_metadata,
            error: None,
            created: Utc::now().timestamp(),
        };
        let intent_id = intent.id.clone();
        self.intents.push(intent);
        self.session_mut(id)?.intent = Some(intent_id.clone());
        Some(intent_id)
    }

    pub fn pay(&mut self, id: &str) -> bool {
        self.try_pay(id).is_some()
    }

    fn try_pay(&mut self, id: &str) -> Option<()> {
        let intent_id = self.begin_intent(id)?;
        let is_manual = self.session(id)?.is_manual;
        let intent = self.intent_mut(&intent_id)?;
        intent.error = None;
        if is_manual {
            (intent.status, intent.amount_capturable) = ("requires_capture", intent.amount);
            self.tell_intent("payment_intent.amount_capturable_updated", &intent_id);
        } else {
            (intent.status, intent.amount_received) = ("succeeded", intent.amount);
            self.tell_intent("payment_intent.succeeded", &intent_id);
        }
        let session = self.session_mut(id)?;
        (session.status, session.payment_status) = ("complete", if is_manual { "unpaid" } else { "paid" });
        self.tell_session("checkout.session.completed", id);
        Some(())
    }

    pub fn pay_slowly(&mut self, id: &str) -> bool {
        let Some(intent_id) = self.begin_intent(id) else { return false };
        if let Some(intent) = self.intent_mut(&intent_id) {
            intent.status = "processing";
        }
        if let Some(session) = self.session_mut(id) {
            session.status = "complete";
        }
        self.tell_intent("payment_intent.processing", &intent_id);
        self.tell_session("checkout.session.completed", id);
        true
    }

    pub fn settle_slow(&mut self, id: &str, succeeded: bool) -> bool {
        let Some(intent_id) = self.session(id).and_then(|session| session.intent.clone()) else {
            return false;
        };
        let Some(intent) = self.intent_mut(&intent_id).filter(|intent| intent.status == "processing") else {
            return false;
        };
        if succeeded {
            (intent.status, intent.amount_received) = ("succeeded", intent.amount);
            if let Some(session) = self.session_mut(id) {
                session.payment_status = "paid";
            }
            self.tell_intent("payment_intent.succeeded", &intent_id);
            self.tell_session("checkout.session.async_payment_succeeded", id);
        } else {
            (intent.status, intent.error) = ("requires_payment_method", Some("debit_not_authorized"));
            self.tell_intent("payment_intent.payment_failed", &intent_id);
            self.tell_session("checkout.session.async_payment_failed", id);
        }
        true
    }

    pub fn decline(&mut self, id: &str) -> bool {
        let Some(intent_id) = self.begin_intent(id) else { return false };
        if let Some(intent) = self.intent_mut(&intent_id) {
            intent.error = Some("generic_decline");
        }
        self.tell_intent("payment_intent.payment_failed", &intent_id);
        true
    }

    pub fn expire(&mut self, id: &str) -> bool {
        let Some(session) = self.session_mut(id).filter(|session| session.status == "open") else {
            return false;
        };
        session.status = "expired";
        let intent = session.intent.clone();
        if let Some(intent_id) = intent {
            if let Some(intent) = self.intent_mut(&intent_id) {
                intent.status = "canceled";
            }
            self.tell_intent("payment_intent.canceled", &intent_id);
        }
        self.tell_session("checkout.session.expired", id);
        true
    }

    /// Takes all authorized money of a payment intent.
    pub fn capture(&mut self, id: &str) -> bool {
        let amount = self.intent(id).map(|intent| intent.amount_capturable);
        amount.is_some_and(|amount| self.capture_amount(id, amount))
    }

    /// Takes this much of what is authorized, and lets go of the rest.
    pub fn capture_amount(&mut self, id: &str, amount: i64) -> bool {
        let Some(intent) = self.intent_mut(id).filter(|intent| intent.status == "requires_capture") else {
            return false;
        };
        (intent.status, intent.amount_received, intent.amount_capturable) = ("succeeded", amount, 0);
        for session in &mut self.sessions {
            if session.intent.as_deref() == Some(id) {
                session.payment_status = "paid";
            }
        }
        self.tell_intent("payment_intent.succeeded", id);
        true
    }

    /// Lets go of authorized money.
    pub fn let_go(&mut self, id: &str) -> bool {
        let Some(intent) = self.intent_mut(id).filter(|intent| intent.status == "requires_capture") else {
            return false;
        };
        (intent.status, intent.amount_capturable) = ("canceled", 0);
        self.tell_intent("payment_intent.canceled", id);
        true
    }

    pub fn settle_refund(&mut self, id: &str, succeeded: bool) -> bool {
        let mut refunds = self.refunds.iter_mut();
        let Some(refund) = refunds.find(|refund| refund.id == id && refund.status == "pending") else {
            return false;
        };
        refund.status = if succeeded { "succeeded" } else { "failed" };
        let object = Self::refund_object(refund);
        let kind = if succeeded { "refund.updated" } else { "refund.failed" };
        self.events.push((kind.to_owned(), object));
        true
    }

    pub fn dispute(&mut self, session: &str, state: &str) -> bool {
        let intent =
            self.session(session).and_then(|session| self.intent(session.intent.as_deref()?)).cloned();
        let Some(intent) = intent else { return false };
        let kind = if state == "needs_response" { "charge.dispute.created" } else { "charge.dispute.closed" };
        let object = json!({
            "id": format!("du_{}", intent.id), "object": "dispute", "amount": intent.amount_received,
            "currency": intent.currency, "reason": "fraudulent", "status": state, "metadata": {},
            "charge": charge_id(&intent), "payment_intent": intent.id,
        });
        self.events.push((kind.to_owned(), object));
        true
    }

    pub fn tell_session(&mut self, kind: &str, id: &str) {
        let object = self.session(id).map(|session| self.session_object(session, false));
        self.events.extend(object.map(|object| (kind.to_owned(), object)));
    }

    pub fn tell_intent(&mut self, kind: &str, id: &str) {
        let object = self.intent(id).map(|intent| Self::intent_object(intent, false));
        self.events.extend(object.map(|object| (kind.to_owned(), object)));
    }

    pub fn session_object(&self, session: &Session, expanded: bool) -> Value {
        let intent = session.intent.as_deref().and_then(|id| self.intent(id));
        let intent = intent.map_or(Value::Null, |intent| match expanded {
            true => Self::intent_object(intent, true),
            false => intent.id.clone().into(),
        });
        let url = format!("{}/pay/{}", self.base, session.id);
        json!({
            "id": session.id, "object": "checkout.session", "mode": "payment", "created": session.created,
            "expires_at": session.expires_at, "status": session.status, "payment_status": session.payment_status,
            "amount_total": session.amount_total, "currency": session.currency, "livemode": false,
            "client_reference_id": session.client_reference_id, "customer_email": session.customer_email,
            "metadata": session.metadata, "payment_intent": intent, "success_url": session.success_url,
            "cancel_url": session.cancel_url, "url": (session.status == "open").then_some(url),
        })
    }

    pub fn intent_object(intent: &Intent, expanded: bool) -> Value {
        let has_charge = matches!(intent.status, "succeeded" | "requires_capture");
        let charge = match (has_charge, expanded) {
            (false, _) => Value::Null,
            (true, false) => charge_id(intent).into(),
            (true, true) => Self::charge_object(intent),
        };
        let error = intent.error.map(|code| {
            json!({ "type": "card_error", "code": "card_declined", "decline_code": code, "message": "Declined." })
        });
        json!({
            "id": intent.id, "object": "payment_intent", "status": intent.status, "amount": intent.amount,
            "amount_capturable": intent.amount_capturable, "amount_received": intent.amount_received,
            "currency": intent.currency, "metadata": intent.metadata, "latest_charge": charge,
            "last_payment_error": error, "created": intent.created, "livemode": false,
        })
    }

    fn charge_object(intent: &Intent) -> Value {
        let is_captured = intent.status == "succeeded";
        let booking = is_captured
            .then(|| json!({ "id": "txn_test_1", "object": "balance_transaction", "fee": FEE, "currency": intent.currency }));
        let capture_before = (!is_captured).then_some(intent.created + HOLD_SECONDS);
        json!({
            "id": charge_id(intent), "object": "charge", "captured": is_captured, "balance_transaction": booking,
            "payment_method_details": { "type": "card", "card": { "capture_before": capture_before } },
        })
    }

    pub fn refund_object(refund: &Refund) -> Value {
        let failure = (refund.status == "failed").then_some("expired_or_canceled_card");
        json!({
            "id": refund.id, "object": "refund", "amount": refund.amount, "currency": refund.currency,
            "status": refund.status, "failure_reason": failure, "metadata": refund.metadata,
            "payment_intent": refund.intent, "created": refund.created,
        })
    }
}

fn charge_id(intent: &Intent) -> String {
    intent.id.replacen("pi_", "ch_", 1)
}
