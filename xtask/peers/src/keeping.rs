//! What the books of both peers are made of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::call::Reply;

/// The answer to a request with a key, which every repetition gets too.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub request: String,
    pub reply: Reply,
}

/// Amounts in minor units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub captured: i64,
    pub authorized: i64,
    pub refunded: i64,
}

/// For each payment of the shop, all money that moved for it: what was taken twice is there twice.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeMap<String, (String, Sums)>);

impl Ledger {
    pub fn add(&mut self, payment: &str, currency: &str, money: Sums) {
        let (_, sums) =
            self.0.entry(payment.to_owned()).or_insert_with(|| (currency.to_owned(), Sums::default()));
        sums.captured += money.captured;
        sums.authorized += money.authorized;
        sums.refunded += money.refunded;
    }
}

impl From<Ledger> for Value {
    fn from(ledger: Ledger) -> Self {
        let line = |(payment, (currency, sums)): (String, (String, Sums))| {
            let Sums { captured, authorized, refunded } = sums;
            let line = json!({
                "currency": currency, "captured": captured, "authorized": authorized, "refunded": refunded,
            });
            (payment, line)
        };
        Self::Object(ledger.0.into_iter().map(line).collect())
    }
}
