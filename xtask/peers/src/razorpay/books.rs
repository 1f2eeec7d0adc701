//! What the peer knows, what happens to it, and its objects as the API shows them.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::{Value, json};

use crate::keeping::{Kept, Ledger, Sums};

#[derive(Debug, Clone)]
pub(super) struct Order {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub receipt: String,
    pub notes: Value,
    pub is_manual: bool,
    pub status: &'static str,
    pub created_at: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub id: String,
    pub order_id: String,
    pub amount: i64,
    pub currency: String,
    pub status: &'static str,
    pub amount_refunded: i64,
    pub is_captured: bool,
    pub created_at: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Refund {
    pub id: String,
    pub payment_id: String,
    pub amount: i64,
    pub currency: String,
    pub status: &'static str,
    pub receipt: Value,
    pub notes: Value,
    pub created_at: i64,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    pub orders: Vec<Order>,
    pub payments: Vec<Payment>,
    pub refunds: Vec<Refund>,
    pub kept: BTreeMap<String, Kept>,
    pub refusals: Vec<String>,
    pub refunds_are_pending: bool,
    /// Names and payloads of events that are not sent yet.
    pub events: Vec<(String, Value)>,
    /// The number in the last id.
    pub last_id: u64,
}

/// The fee of every payment, with tax.
const FEE: i64 = 236;

impl Books {
    /// Ids of fourteen characters after the prefix, as Razorpay's.
    pub fn new_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}_Test{:010}", self.last_id)
    }

    pub fn order(&self, id: &str) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }

    pub fn payment(&self, id: &str) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.id == id)
    }

    pub fn payment_mut(&mut self, id: &str) -> Option<&mut Payment> {
        self.payments.iter_mut().find(|payment| payment.id == id)
    }

    pub fn ledger(&self) -> Value {
        let mut ledger = Ledger::default();
        for order in &self.orders {
            ledger.add(&order.receipt, &order.currency, Sums::default());
            for payment in self.payments.iter().filter(|payment| payment.order_id == order.id) {
                let money = match payment.status {
                    "captured" | "refunded" if payment.is_captured => Sums {
                        captured: payment.amount,
                        refunded: payment.amount_refunded,
                        ..Sums::default()
                    },
                    "authorized" => Sums { authorized: payment.amount, ..Sums::default() },
                    _ => Sums::default(),
                };
                ledger.add(&order.receipt, &order.currency, money);
            }
        }
        ledger.into()
    }

    /// The shopper has entered how to pay.
    pub fn begin_payment(&mut self, order: &str) -> Option<String> {
        let id = self.new_id("pay");
        let order = self.orders.iter_mut().find(|known| known.id == order && known.status != "paid")?;
        order.status = "attempted";
        self.payments.push(Payment {
            id: id.clone(),
            order_id: order.id.clone(),
            amount: order.amount,
            currency: order.currency.clone(),
            status: "created",
            amount_refunded: 0,
            is_captured: false,
            created_at: Utc::now().timestamp(),
        });
        Some(id)
    }

    pub fn pay(&mut self, order: &str) -> Option<String> {
        let payment = self.begin_payment(order)?;
        self.decide(&payment, true)?;
        Some(payment)
    }

    /// The bank decides. An authorized payment is captured at once unless the order says that the shop does it.
    pub fn decide(&mut self, id: &str, succeeded: bool) -> Option<()> {
        let payment =
            self.payment_mut(id).filter(|payment| matches!(payment.status, "created" | "failed"))?;
        payment.status = if succeeded { "authorized" } else { "failed" };
        let order = payment.order_id.clone();
        self.tell_payment(if succeeded { "payment.authorized" } else { "payment.failed" }, id);
        if succeeded && !self.order(&order)?.is_manual {
            self.capture(id)?;
        }
        Some(())
    }

    /// Takes an authorized payment. Its order is then paid.
    pub fn capture(&mut self, id: &str) -> Option<()> {
        let payment = self.payment_mut(id).filter(|payment| payment.status == "authorized")?;
        (payment.status, payment.is_captured) = ("captured", true);
        let order = payment.order_id.clone();
        self.tell_payment("payment.captured", id);
        let order = self.orders.iter_mut().find(|known| known.id == order)?;
        order.status = "paid";
        let order = order.clone();
        let payment = self.payment(id)?;
        let payload = json!({
            "payment": { "entity": Self::payment_object(payment) }, "order": { "entity": Self::order_object(&order) },
        });
        self.events.push(("order.paid".to_owned(), payload));
        Some(())
    }

    /// The authorized payment of an order.
    pub fn authorized(&self, order: &str) -> Option<String> {
        let mut of_it = self.payments.iter().filter(|payment| payment.order_id == order);
        of_it.find(|payment| payment.status == "authorized").map(|payment| payment.id.clone())
    }

    /// An authorized payment goes back to the shopper. Razorpay makes a refund of its own for that.
    pub fn let_go(&mut self, id: &str) -> Option<()> {
        let refund_id = self.new_id("rfnd");
        let payment = self.payment_mut(id).filter(|payment| payment.status == "authorized")?;
        (payment.status, payment.amount_refunded) = ("refunded", payment.amount);
        let refund = Refund {
            id: refund_id,
            payment_id: payment.id.clone(),
            amount: payment.amount,
            currency: payment.currency.clone(),
            status: "processed",
            receipt: Value::Null,
            notes: json!([]),
            created_at: Utc::now().timestamp(),
        };
        self.refunds.push(refund.clone());
        self.tell_refund("refund.created", &refund);
        self.tell_refund("refund.processed", &refund);
        Some(())
    }

    pub fn settle_refund(&mut self, id: &str, succeeded: bool) -> bool {
        let mut refunds = self.refunds.iter_mut();
        let Some(refund) = refunds.find(|refund| refund.id == id && refund.status == "pending") else {
            return false;
        };
        refund.status = if succeeded { "processed" } else { "failed" };
        let refund = refund.clone();
        if !succeeded && let Some(payment) = self.payment_mut(&refund.payment_id) {
            payment.amount_refunded -= refund.amount;
            payment.status = "captured";
        }
        self.tell_refund(if succeeded { "refund.processed" } else { "refund.failed" }, &refund);
        true
    }

    pub fn dispute(&mut self, order: &str, state: &str) -> bool {
        let is_captured = |payment: &&Payment| payment.order_id == order && payment.status == "captured";
        let Some(payment) = self.payments.iter().find(is_captured).cloned() else { return false };
        let status = if state == "created" { "open" } else { state };
        let dispute = json!({
            "id": payment.id.replacen("pay_", "disp_", 1), "entity": "dispute", "payment_id": payment.id,
            "amount": payment.amount, "currency": payment.currency, "reason_code": "goods_not_received",
            "status": status, "phase": "chargeback",
        });
        let payload = json!({
            "payment": { "entity": Self::payment_object(&payment) }, "dispute": { "entity": dispute },
        });
        self.events.push((format!("payment.dispute.{state}"), payload));
        true
    }

    fn tell_payment(&mut self, kind: &str, id: &str) {
        let object = self.payment(id).map(Self::payment_object);
        let payload = object.map(|object| json!({ "payment": { "entity": object } }));
        self.events.extend(payload.map(|payload| (kind.to_owned(), payload)));
    }

    pub fn tell_refund(&mut self, kind: &str, refund: &Refund) {
        let payment = self.payment(&refund.payment_id).map(Self::payment_object);
        let payload = json!({
            "refund": { "entity": Self::refund_object(refund) }, "payment": { "entity": payment },
        });
        self.events.push((kind.to_owned(), payload));
    }

    pub fn order_object(order: &Order) -> Value {
        json!({
            "id": order.id, "entity": "order", "amount": order.amount, "currency": order.currency,
            "receipt": order.receipt, "status": order.status, "notes": order.notes, "created_at": order.created_at,
        })
    }

    pub fn payment_object(payment: &Payment) -> Value {
        let is_captured = payment.is_captured;
        let failed = payment.status == "failed";
        json!({
            "id": payment.id, "entity": "payment", "amount": payment.amount, "currency": payment.currency,
            "status": payment.status, "order_id": payment.order_id, "captured": is_captured, "notes": [],
            "amount_refunded": payment.amount_refunded, "fee": is_captured.then_some(FEE),
            "error_code": failed.then_some("BAD_REQUEST_ERROR"), "error_reason": failed.then_some("payment_failed"),
            "created_at": payment.created_at,
        })
    }

    pub fn refund_object(refund: &Refund) -> Value {
        json!({
            "id": refund.id, "entity": "refund", "amount": refund.amount, "currency": refund.currency,
            "payment_id": refund.payment_id, "status": refund.status, "receipt": refund.receipt,
            "notes": refund.notes, "speed_requested": "normal", "created_at": refund.created_at,
        })
    }
}
