//! The page of the checkout, and a stand-in for the script that opens it in a storefront.

use serde_json::{Value, json};

use super::books::{Books, Order};
use crate::call::{Call, Reply, escape};
use crate::look::{NO_REAL_MONEY, page, price};

/// As `checkout.js`: `new Razorpay(options).open()` opens the page, and `options.handler` gets what it returns.
pub(super) const CHECKOUT: &str = include_str!("checkout.js");

const TITLE: &str = "Razorpay's stand-in";

pub(super) fn answer(books: &mut Books, call: &Call, confirmation: impl Fn(&str, &str) -> Value) -> Reply {
    // The checkout says `retry=off` if a payment that fails is to be the last.
    let retry = if call.parameter("retry") == Some("off") { "?retry=off" } else { "" };
    match (call.method.as_str(), call.parts().as_slice()) {
        ("GET", ["pay", id]) => match books.order(id) {
            Some(order) => show(order, "", retry),
            None => Reply::not_found(),
        },
        ("POST", ["pay", id, "now"]) => match books.pay(id) {
            Some(payment) => paid(&confirmation(id, &payment)),
            None => Reply::redirect(&format!("/pay/{id}{retry}")),
        },
        ("POST", ["pay", id, "decline"]) => {
            let declined = books.begin_payment(id).filter(|payment| books.decide(payment, false).is_some());
            match (books.order(id), declined) {
                (Some(order), Some(payment)) => failed(order, &payment, retry),
                (Some(_), None) => Reply::redirect(&format!("/pay/{id}{retry}")),
                (None, _) => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}

fn show(order: &Order, message: &str, retry: &str) -> Reply {
    let Order { id, amount, currency, status, .. } = order;
    let actions = if *status == "paid" {
        "<p id=\"closed\">This order is paid.</p>".to_owned()
    } else {
        format!(
            "<form method=\"post\" action=\"/pay/{id}/now{retry}\"><button id=\"pay\">Pay</button></form>\
             <form method=\"post\" action=\"/pay/{id}/decline{retry}\"><button id=\"decline\">Pay in a way that fails</button></form>\
             <p id=\"leave\">Close this page to go back without paying.</p>"
        )
    };
    let total = price(*amount, currency);
    page(TITLE, &format!("<h1>Pay {total}</h1>{message}{actions}{NO_REAL_MONEY}"))
}

/// What the storefront gets, and what a person without a storefront can send to the shop.
fn paid(confirmation: &Value) -> Reply {
    let body = escape(&format!("{:#}", json!({ "details": confirmation })));
    let tell = tell(confirmation, true);
    page(
        TITLE,
        &format!(
            "<h1 id=\"paid\">Paid</h1><p>The storefront gets this and sends it to \
             <code>POST /v1/payments/{{id}}/confirm</code>:</p><pre>{body}</pre>\
             <p>Even if it does not, the shop hears of the payment by a webhook.</p>{NO_REAL_MONEY}{tell}"
        ),
    )
}

fn failed(order: &Order, payment: &str, retry: &str) -> Reply {
    const MESSAGE: &str = "<p id=\"declined\">The payment failed.</p>";
    let error = json!({ "error": {
        "code": "BAD_REQUEST_ERROR", "description": "The payment failed.", "reason": "payment_failed",
        "metadata": { "order_id": order.id, "payment_id": payment },
    } });
    let is_last = !retry.is_empty();
    show(order, &format!("{MESSAGE}{}", tell(&error, is_last)), retry)
}

/// Tells the storefront that has opened this page, if there is one.
fn tell(message: &Value, is_last: bool) -> String {
    // Nothing in it can end the script early.
    let message = message.to_string().replace('<', "\\u003c");
    let close = if is_last { " window.close();" } else { "" };
    format!("<script>if (window.opener) {{ window.opener.postMessage({message}, '*');{close} }}</script>")
}
