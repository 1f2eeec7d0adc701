//! Checks a request for a Checkout Session.

use std::collections::BTreeMap;

use chrono::Utc;
use url::Url;

use super::books::{Line, Metadata, Session};

/// Stripe's error about a parameter.
#[derive(Debug)]
pub(super) struct Wrong {
    pub param: String,
    pub message: String,
}

fn wrong<T>(param: &str, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { param: param.to_owned(), message: message.into() })
}

/// The fields that were not read yet; whatever is left in the end is unknown.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub fn new(fields: BTreeMap<String, String>) -> Self {
        Self(fields)
    }

    pub fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    pub fn required(&mut self, key: &str) -> Result<String, Wrong> {
        match self.take(key) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => wrong(key, "Missing required param"),
        }
    }

    pub fn integer(&mut self, key: &str) -> Result<i64, Wrong> {
        self.required(key)?.parse().or_else(|_| wrong(key, "Invalid integer"))
    }

    /// The entries of `prefix[…]`.
    pub fn map(&mut self, prefix: &str) -> Metadata {
        let mut map = Metadata::new();
        let open = format!("{prefix}[");
        self.0.retain(|key, value| {
            let inner = key.strip_prefix(&open).and_then(|rest| rest.strip_suffix(']'));
            let Some(inner) = inner.filter(|inner| !inner.contains('[')) else { return true };
            map.insert(inner.to_owned(), value.clone());
            false
        });
        map
    }

    pub fn nothing_else(&self) -> Result<(), Wrong> {
        match self.0.keys().find(|key| !key.starts_with("expand[")) {
            Some(key) => wrong(key, "Received unknown parameter"),
            None => Ok(()),
        }
    }
}

/// Amounts in these currencies are whole, and in these they end with two noughts or one.
fn check_amount(param: &str, amount: i64, currency: &str) -> Result<(), Wrong> {
    let step = match currency {
        "isk" | "ugx" => 100,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        _ => 1,
    };
    if amount < 0 || amount % step != 0 { wrong(param, "Invalid amount for the currency") } else { Ok(()) }
}

fn check_url(param: &str, url: &str) -> Result<(), Wrong> {
    let filled = url.replace("{CHECKOUT_SESSION_ID}", "cs_1");
    match Url::parse(&filled) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => wrong(param, "Not a valid URL"),
    }
}

/// The session that the form describes.
pub(super) fn session(fields: BTreeMap<String, String>, id: String) -> Result<Session, Wrong> {
    let now = Utc::now().timestamp();
    let mut fields = Fields::new(fields);
    if fields.required("mode")? != "payment" {
        return wrong("mode", "This peer knows payments only");
    }
    let expires_at = fields.integer("expires_at")?;
    if !(now + 30 * 60..=now + 24 * 3600).contains(&expires_at) {
        return wrong("expires_at", "The timestamp must be between 30 minutes and 24 hours from now");
    }
    let success_url = fields.required("success_url")?;
    check_url("success_url", &success_url)?;
    let cancel_url = fields.take("cancel_url");
    if let Some(url) = &cancel_url {
        check_url("cancel_url", url)?;
    }
    let customer_email = fields.take("customer_email");
    if customer_email.as_ref().is_some_and(|email| !email.contains('@')) {
        return wrong("customer_email", "Invalid email address");
    }
    let is_manual = match fields.take("payment_intent_data[capture_method]").as_deref() {
        None | Some("automatic" | "automatic_async") => false,
        Some("manual") => true,
        Some(_) => return wrong("payment_intent_data[capture_method]", "Invalid capture method"),
    };
    let _ = fields.take("payment_intent_data[description]");
    let (currency, lines) = lines(&mut fields)?;
    let session = Session {
        id,
        created: now,
        expires_at,
        status: "open",
        payment_status: "unpaid",
        amount_total: lines.iter().map(|line| line.quantity * line.unit_amount).sum(),
        currency,
        client_reference_id: fields.take("client_reference_id"),
        customer_email,
        success_url,
        cancel_url,
        lines,
        metadata: fields.map("metadata"),
        intent_metadata: fields.map("payment_intent_data[metadata]"),
        is_manual,
        intent: None,
    };
    fields.nothing_else()?;
    if session.amount_total <= 0 {
        return wrong("line_items", "The total amount must be positive");
    }
    Ok(session)
}

fn lines(fields: &mut Fields) -> Result<(String, Vec<Line>), Wrong> {
    let mut lines = Vec::new();
    let mut currency: Option<String> = None;
    loop {
        let key = |field: &str| format!("line_items[{}]{field}", lines.len());
        let Some(quantity) = fields.take(&key("[quantity]")) else { break };
        let quantity = match quantity.parse() {
            Ok(quantity) if quantity > 0 => quantity,
            _ => return wrong(&key("[quantity]"), "Invalid quantity"),
        };
        let of_line = fields.required(&key("[price_data][currency]"))?;
        if of_line.len() != 3 || !of_line.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return wrong(&key("[price_data][currency]"), "Invalid currency");
        }
        if currency.get_or_insert_with(|| of_line.clone()) != &of_line {
            return wrong(&key("[price_data][currency]"), "All line items must have the same currency");
        }
        let unit_amount = fields.integer(&key("[price_data][unit_amount]"))?;
        check_amount(&key("[price_data][unit_amount]"), unit_amount, &of_line)?;
        let name = fields.required(&key("[price_data][product_data][name]"))?;
        lines.push(Line { name, quantity, unit_amount });
    }
    match currency {
        Some(currency) if lines.len() <= 100 => Ok((currency, lines)),
        _ => wrong("line_items", "There must be between 1 and 100 line items"),
    }
}
