//! The API: who asks, with which version and key, and what is answered.

use chrono::Utc;
use serde_json::{Value, json};

use super::books::{Books, Intent, Refund};
use super::form::{self, Fields, Wrong};
use super::{API_VERSION, RefundBehaviour};
use crate::call::{Call, Reply};
use crate::keeping::Kept;

/// Stripe's error.
struct Refused {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
}

impl Refused {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, kind: "invalid_request_error", code: None, param: None, message: message.into() }
    }

    fn coded(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(400, message) }
    }

    fn missing(what: &str, id: &str) -> Self {
        let refused = Self::new(404, format!("No such {what}: '{id}'"));
        Self { code: Some("resource_missing"), ..refused }
    }
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self { param: Some(wrong.param), ..Self::new(400, wrong.message) }
    }
}

pub(super) fn answer(books: &mut Books, secret_key: &str, call: &Call) -> Reply {
    let outcome = check_caller(secret_key, call).and_then(|()| match call.method.as_str() {
        "POST" => post(books, call),
        _ => get(books, call).map(|object| Reply::json(200, &object)),
    });
    outcome.unwrap_or_else(|refused| {
        books.refusals.push(format!("{}: {} {:?}", call.operation(), refused.message, refused.param));
        let Refused { status, kind, code, param, message } = refused;
        Reply::json(
            status,
            &json!({ "error": { "type": kind, "code": code, "param": param, "message": message } }),
        )
    })
}

fn check_caller(secret_key: &str, call: &Call) -> Result<(), Refused> {
    if call.header("authorization") != Some(format!("Bearer {secret_key}").as_str()) {
        return Err(Refused::new(401, "Invalid API Key provided"));
    }
    match call.header("stripe-version") {
        Some(API_VERSION) => Ok(()),
        version => Err(Refused::new(400, format!("Invalid Stripe API version: {version:?}"))),
    }
}

/// What must be the same in a request that is sent again.
pub(super) fn identity(call: &Call) -> String {
    format!("/{}?{}", call.path.join("/"), String::from_utf8_lossy(&call.body))
}

/// A request that could move money twice has a key. The same request with the same key gets the same answer.
fn post(books: &mut Books, call: &Call) -> Result<Reply, Refused> {
    let can_be_repeated = matches!(call.parts().last(), Some(&("expire" | "cancel")));
    let key = call.header("idempotency-key").filter(|key| (1..=255).contains(&key.len()));
    if key.is_none() && !can_be_repeated {
        return Err(Refused::new(400, "there is no Idempotency-Key"));
    }
    let is_empty = call.body.is_empty();
    if call.header("content-type") != Some("application/x-www-form-urlencoded") && !is_empty {
        return Err(Refused::new(400, "the body is not a form"));
    }
    let request = identity(call);
    if let Some(kept) = key.and_then(|key| books.kept.get(key)) {
        if kept.request == request {
            return Ok(kept.reply.clone().with_header("idempotent-replayed", "true"));
        }
        let message = "Keys for idempotent requests can only be used with the same parameters";
        return Err(Refused { kind: "idempotency_error", ..Refused::new(400, message) });
    }
    let form = call.form().map_err(|message| Refused::new(400, message))?;
    // What fails validation is not kept.
    let object = execute(books, call, Fields::new(form.clone()), form)?;
    let reply = Reply::json(200, &object);
    if let Some(key) = key {
        books.kept.insert(key.to_owned(), Kept { request, reply: reply.clone() });
    }
    Ok(reply)
}

fn execute(
    books: &mut Books,
    call: &Call,
    mut fields: Fields,
    form: std::collections::BTreeMap<String, String>,
) -> Result<Value, Refused> {
    match call.parts().as_slice() {
        ["v1", "checkout", "sessions"] => {
            let session = form::session(form, books.new_id("cs"))?;
            let object = books.session_object(&session, false);
            books.sessions.push(session);
            Ok(object)
        }
        ["v1", "checkout", "sessions", id, "expire"] => {
            let session = books.session(id).ok_or_else(|| Refused::missing("checkout.session", id))?;
            if session.status != "open" {
                let message = format!(
                    "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
                    session.status
                );
                return Err(Refused::new(400, message));
            }
            books.expire(id);
            session_by_id(books, id, false)
        }
        ["v1", "payment_intents", id, "capture"] => {
            let amount = fields.integer("amount_to_capture")?;
            fields.nothing_else()?;
            capture(books, id, amount)
        }
        ["v1", "payment_intents", id, "cancel"] => {
            let intent = intent_of(books, id)?;
            if intent.status != "requires_capture" {
                return Err(Refused::coded(
                    "payment_intent_unexpected_state",
                    format!("This PaymentIntent has a status of {}", intent.status),
                ));
            }
            books.let_go(id);
            Ok(Books::intent_object(intent_of(books, id)?, false))
        }
        ["v1", "refunds"] => refund(books, fields),
        _ => Err(Refused::new(404, "Unrecognized request URL")),
    }
}

fn intent_of<'a>(books: &'a Books, id: &str) -> Result<&'a Intent, Refused> {
    books.intent(id).ok_or_else(|| Refused::missing("payment_intent", id))
}

fn capture(books: &mut Books, id: &str, amount: i64) -> Result<Value, Refused> {
    let intent = intent_of(books, id)?;
    if intent.status != "requires_capture" {
        return Err(Refused::coded(
            "payment_intent_unexpected_state",
            format!("This PaymentIntent could not be captured because it has a status of {}", intent.status),
        ));
    }
    if !(1..=intent.amount_capturable).contains(&amount) {
        return Err(Refused::coded("amount_too_large", "The amount is more than what can be captured"));
    }
    books.capture_amount(id, amount);
    Ok(Books::intent_object(intent_of(books, id)?, true))
}

fn refund(books: &mut Books, mut fields: Fields) -> Result<Value, Refused> {
    let intent_id = fields.required("payment_intent")?;
    let amount = fields.integer("amount")?;
    let metadata = fields.map("metadata");
    fields.nothing_else()?;
    let intent = intent_of(books, &intent_id)?;
    let left = intent.amount_received - books.refunded(&intent_id);
    if left == 0 {
        return Err(Refused::coded("charge_already_refunded", "The charge has already been refunded"));
    }
    if !(1..=left).contains(&amount) {
        return Err(Refused::new(
            400,
            format!("Refund amount ({amount}) is greater than unrefunded amount ({left})"),
        ));
    }
    let currency = intent.currency.clone();
    let status = match books.refund_behaviour {
        RefundBehaviour::Succeed => "succeeded",
        RefundBehaviour::Pend => "pending",
        RefundBehaviour::Fail => "failed",
    };
    let created = Utc::now().timestamp();
    let id = books.new_id("re");
    let refund = Refund { id, intent: intent_id.clone(), amount, currency, status, metadata, created };
    let object = Books::refund_object(&refund);
    books.refunds.push(refund);
    books.events.push(("refund.created".to_owned(), object.clone()));
    if status == "failed" {
        books.events.push(("refund.failed".to_owned(), object.clone()));
    } else {
        books.events.push(("charge.refunded".to_owned(), json!({ "id": "ch", "payment_intent": intent_id })));
    }
    Ok(object)
}

fn get(books: &Books, call: &Call) -> Result<Value, Refused> {
    let expands = |field: &str| call.query.iter().any(|(key, value)| key == "expand[]" && value == field);
    match call.parts().as_slice() {
        ["v1", "checkout", "sessions"] => {
            let bound = |name: &str| call.parameter(name).and_then(|value| value.parse::<i64>().ok());
            let (from, until) = (bound("created[gte]"), bound("created[lte]"));
            let in_time = books.sessions.iter().rev().filter(|session| {
                from.is_none_or(|from| session.created >= from)
                    && until.is_none_or(|until| session.created <= until)
            });
            let objects =
                in_time.map(|session| books.session_object(session, expands("data.payment_intent")));
            Ok(list(call, objects.collect()))
        }
        ["v1", "checkout", "sessions", id] => session_by_id(books, id, expands("payment_intent")),
        ["v1", "payment_intents", id] => {
            Ok(Books::intent_object(intent_of(books, id)?, expands("latest_charge.balance_transaction")))
        }
        ["v1", "refunds"] => {
            let intent = call.parameter("payment_intent");
            let of_it =
                books.refunds.iter().rev().filter(|refund| intent.is_none_or(|id| id == refund.intent));
            Ok(list(call, of_it.map(Books::refund_object).collect()))
        }
        _ => Err(Refused::new(404, "Unrecognized request URL")),
    }
}

fn session_by_id(books: &Books, id: &str, expanded: bool) -> Result<Value, Refused> {
    let session = books.session(id).ok_or_else(|| Refused::missing("checkout.session", id))?;
    Ok(books.session_object(session, expanded))
}

/// A page of a list, newest first.
fn list(call: &Call, objects: Vec<Value>) -> Value {
    let limit = call.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
    let after = call.parameter("starting_after");
    let is_after = |object: &Value| object.get("id").and_then(Value::as_str) == after;
    let skip = after.and_then(|_| objects.iter().position(is_after)).map_or(0, |place| place + 1);
    let rest: Vec<Value> = objects.into_iter().skip(skip).collect();
    let has_more = rest.len() > limit;
    let data: Vec<Value> = rest.into_iter().take(limit).collect();
    json!({ "object": "list", "data": data, "has_more": has_more })
}
