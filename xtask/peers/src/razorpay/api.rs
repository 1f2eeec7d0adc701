//! The API: who asks, and what is answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde_json::{Map, Value, json};

use super::books::{Books, Order, Refund};
use crate::call::{Call, Reply};
use crate::keeping::Kept;

/// Razorpay's error.
struct Refused {
    status: u16,
    description: String,
    field: Option<&'static str>,
}

impl Refused {
    fn new(description: impl Into<String>) -> Self {
        Self { status: 400, description: description.into(), field: None }
    }

    fn at(field: &'static str, description: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(description) }
    }

    fn unknown_id() -> Self {
        Self::new("The id provided does not exist")
    }
}

pub(super) fn answer(books: &mut Books, key_id: &str, key_secret: &str, call: &Call) -> Reply {
    let credentials = format!("Basic {}", STANDARD.encode(format!("{key_id}:{key_secret}")));
    let outcome = if call.header("authorization") != Some(credentials.as_str()) {
        Err(Refused { status: 401, ..Refused::new("Authentication failed") })
    } else if call.method == "POST" {
        post(books, call)
    } else {
        get(books, call).map(|object| Reply::json(200, &object))
    };
    outcome.unwrap_or_else(|refused| {
        let Refused { status, description, field } = refused;
        books.refusals.push(format!("{}: {description} {field:?}", call.operation()));
        let error = json!({
            "code": "BAD_REQUEST_ERROR", "description": description, "field": field, "source": "business",
            "step": "payment_initiation", "reason": "input_validation_failed", "metadata": {},
        });
        Reply::json(status, &json!({ "error": error }))
    })
}

fn post(books: &mut Books, call: &Call) -> Result<Reply, Refused> {
    if call.header("content-type") != Some("application/json") {
        return Err(Refused::new("The body must be JSON"));
    }
    let body: Map<String, Value> =
        serde_json::from_slice(&call.body).map_err(|error| Refused::new(error.to_string()))?;
    match call.parts().as_slice() {
        ["v1", "orders"] => create_order(books, body).map(|object| Reply::json(200, &object)),
        ["v1", "payments", id, "capture"] => {
            capture(books, id, &body).map(|object| Reply::json(200, &object))
        }
        ["v1", "payments", id, "refund"] => refund(books, id, call, body),
        _ => Err(Refused { status: 404, ..Refused::new("The requested URL was not found on the server") }),
    }
}

/// The amount: a whole number, at least one rupee; the last of three places is 0.
fn amount(body: &Map<String, Value>, currency: &str) -> Result<i64, Refused> {
    let amount = body.get("amount").and_then(Value::as_i64);
    let amount = amount.ok_or_else(|| Refused::at("amount", "The amount must be an integer."))?;
    let step = if matches!(currency, "KWD" | "BHD" | "OMR") { 10 } else { 1 };
    let least = if currency == "INR" { 100 } else { 1 };
    if amount < least || amount % step != 0 {
        return Err(Refused::at("amount", "The amount must be atleast INR 1.00, and fit its currency"));
    }
    Ok(amount)
}

fn only(body: &Map<String, Value>, known: &[&str]) -> Result<(), Refused> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refused::new(format!("{key} is/are not required and should not be sent"))),
        None => Ok(()),
    }
}

/// Up to 15 notes of 256 characters.
fn notes(body: &Map<String, Value>) -> Result<Value, Refused> {
    let Some(notes) = body.get("notes") else { return Ok(json!([])) };
    let fits = |notes: &Map<String, Value>| {
        notes.len() <= 15 && notes.values().all(|value| value.as_str().is_some_and(|text| text.len() <= 256))
    };
    match notes.as_object() {
        Some(map) if fits(map) => Ok(notes.clone()),
        _ => Err(Refused::at("notes", "Notes must be up to 15 short texts")),
    }
}

fn text(body: &Map<String, Value>, key: &'static str, characters_max: usize) -> Result<String, Refused> {
    match body.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() && text.len() <= characters_max => Ok(text.to_owned()),
        _ => Err(Refused::at(key, "The field is required, and must not be too long")),
    }
}

fn create_order(books: &mut Books, body: Map<String, Value>) -> Result<Value, Refused> {
    only(&body, &["amount", "currency", "receipt", "notes", "payment"])?;
    let currency = text(&body, "currency", 3)?;
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refused::at("currency", "Currency is not supported"));
    }
    let amount = amount(&body, &currency)?;
    let receipt = text(&body, "receipt", 40)?;
    let payment = body.get("payment").cloned().unwrap_or_default();
    let options = payment.get("capture_options").cloned().unwrap_or_default();
    let minutes = |key: &str| options.get(key).and_then(Value::as_i64);
    let is_manual = match payment.get("capture").and_then(Value::as_str) {
        Some("manual") => true,
        Some("automatic") => false,
        _ => return Err(Refused::at("payment", "The capture must be automatic or manual")),
    };
    let hold = minutes("manual_expiry_period").unwrap_or(7200);
    let in_order = hold <= 7200
        && options.get("refund_speed").is_some_and(|speed| speed == "normal" || speed == "optimum")
        && (is_manual || minutes("automatic_expiry_period").is_some_and(|wait| (12..=hold).contains(&wait)));
    if !in_order {
        return Err(Refused::at("payment", "The capture options are not valid"));
    }
    let (notes, created_at) = (notes(&body)?, Utc::now().timestamp());
    let id = books.new_id("order");
    let order = Order { id, amount, currency, receipt, notes, is_manual, status: "created", created_at };
    let object = Books::order_object(&order);
    books.orders.push(order);
    Ok(object)
}

fn capture(books: &mut Books, id: &str, body: &Map<String, Value>) -> Result<Value, Refused> {
    only(body, &["amount", "currency"])?;
    let payment = books.payment(id).ok_or_else(Refused::unknown_id)?.clone();
    if payment.status != "authorized" {
        return Err(Refused::new("This payment has already been captured"));
    }
    if body.get("currency").and_then(Value::as_str) != Some(payment.currency.as_str()) {
        return Err(Refused::at("currency", "Payment currency mismatch"));
    }
    if amount(body, &payment.currency)? != payment.amount {
        return Err(Refused::new("Capture amount must be equal to the amount authorized"));
    }
    books.capture(id);
    books.payment(id).map(Books::payment_object).ok_or_else(Refused::unknown_id)
}

fn refund(books: &mut Books, id: &str, call: &Call, body: Map<String, Value>) -> Result<Reply, Refused> {
    let is_key = |key: &&str| {
        key.len() >= 10
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let key = call.header("x-refund-idempotency").filter(is_key);
    let key = key.ok_or_else(|| Refused::new("There is no proper X-Refund-Idempotency"))?;
    let request = format!("{id} {}", String::from_utf8_lossy(&call.body));
    if let Some(kept) = books.kept.get(key) {
        if kept.request == request {
            return Ok(kept.reply.clone());
        }
        return Err(Refused::new("Different request body was sent for the same idempotency key"));
    }
    only(&body, &["amount", "speed", "receipt", "notes"])?;
    let payment = books.payment(id).ok_or_else(Refused::unknown_id)?.clone();
    let amount = amount(&body, &payment.currency).or_else(|refused| {
        // A refund may be smaller than the smallest payment.
        body.get("amount").and_then(Value::as_i64).filter(|amount| *amount > 0).ok_or(refused)
    })?;
    if payment.status != "captured" {
        return Err(Refused::new("The payment has been fully refunded already, or was not captured"));
    }
    if amount > payment.amount - payment.amount_refunded {
        return Err(Refused::new("The refund amount provided is greater than amount captured"));
    }
    if body.get("speed").and_then(Value::as_str) != Some("normal") {
        return Err(Refused::at("speed", "The speed must be normal or optimum"));
    }
    let refund = Refund {
        id: books.new_id("rfnd"),
        payment_id: id.to_owned(),
        amount,
        currency: payment.currency,
        status: if books.refunds_are_pending { "pending" } else { "processed" },
        receipt: body.get("receipt").cloned().unwrap_or_default(),
        notes: notes(&body)?,
        created_at: Utc::now().timestamp(),
    };
    if let Some(payment) = books.payment_mut(id) {
        payment.amount_refunded += amount;
        if payment.amount_refunded == payment.amount {
            payment.status = "refunded";
        }
    }
    let reply = Reply::json(200, &Books::refund_object(&refund));
    books.kept.insert(key.to_owned(), Kept { request, reply: reply.clone() });
    books.refunds.push(refund.clone());
    books.tell_refund("refund.created", &refund);
    if refund.status == "processed" {
        books.tell_refund("refund.processed", &refund);
    }
    Ok(reply)
}

fn get(books: &Books, call: &Call) -> Result<Value, Refused> {
    match call.parts().as_slice() {
        ["v1", "orders"] => {
            let receipt = call.parameter("receipt");
            let orders =
                books.orders.iter().filter(|order| receipt.is_none_or(|receipt| order.receipt == receipt));
            Ok(collection(call, orders.map(Books::order_object).collect()))
        }
        ["v1", "orders", id, "payments"] => {
            let order = books.order(id).ok_or_else(Refused::unknown_id)?;
            let payments = books.payments.iter().filter(|payment| payment.order_id == order.id);
            let items: Vec<Value> = payments.map(Books::payment_object).collect();
            Ok(json!({ "entity": "collection", "count": items.len(), "items": items }))
        }
        ["v1", "payments", id, "refunds"] => {
            let payment = books.payment(id).ok_or_else(Refused::unknown_id)?;
            let refunds = books.refunds.iter().rev().filter(|refund| refund.payment_id == payment.id);
            Ok(collection(call, refunds.map(Books::refund_object).collect()))
        }
        _ => Err(Refused { status: 404, ..Refused::new("The requested URL was not found on the server") }),
    }
}

/// A page of a list; ten entries by default.
fn collection(call: &Call, items: Vec<Value>) -> Value {
    let number = |name: &str| call.parameter(name).and_then(|number| number.parse::<usize>().ok());
    let (count, skip) = (number("count").unwrap_or(10).min(100), number("skip").unwrap_or(0));
    let items: Vec<Value> = items.into_iter().skip(skip).take(count).collect();
    json!({ "entity": "collection", "count": items.len(), "items": items })
}
