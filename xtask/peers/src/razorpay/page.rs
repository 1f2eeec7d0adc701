//! The page of the checkout, and a stand-in for the script that opens it in a storefront.

use serde_json::Value;

use super::books::{Books, Order};
use crate::call::{Call, Reply, escape};

/// As `checkout.js`: `new Razorpay(options).open()` opens the page, and `options.handler` gets what it returns.
pub(super) const CHECKOUT: &str = include_str!("checkout.js");

pub(super) fn answer(books: &mut Books, call: &Call, confirmation: impl Fn(&str, &str) -> Value) -> Reply {
    match (call.method.as_str(), call.parts().as_slice()) {
        ("GET", ["pay", id]) => match books.order(id) {
            Some(order) => show(order, ""),
            None => Reply::not_found(),
        },
        ("POST", ["pay", id, "now"]) => match books.pay(id) {
            Some(payment) => paid(&confirmation(id, &payment)),
            None => Reply::redirect(&format!("/pay/{id}")),
        },
        ("POST", ["pay", id, "decline"]) => {
            let declined = books.begin_payment(id).and_then(|payment| books.decide(&payment, false));
            match books.order(id) {
                Some(order) if declined.is_some() => {
                    show(order, "<p id=\"declined\">The payment failed.</p>")
                }
                Some(_) => Reply::redirect(&format!("/pay/{id}")),
                None => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>A peer of Razorpay</title>\
    <style>body{font:16px/1.5 system-ui,sans-serif;max-width:480px;margin:48px auto}\
    button{font:inherit;padding:8px 16px;margin:4px 0}pre{overflow:auto}</style>";

fn show(order: &Order, message: &str) -> Reply {
    let Order { id, amount, currency, status, .. } = order;
    let actions = if *status == "paid" {
        "<p>This order is paid.</p>".to_owned()
    } else {
        format!(
            "<form method=\"post\" action=\"/pay/{id}/now\"><button id=\"pay\">Pay</button></form>\
             <form method=\"post\" action=\"/pay/{id}/decline\"><button id=\"decline\">Pay in a way that fails</button></form>\
             <p>Close this page to go back without paying.</p>"
        )
    };
    Reply::html(format!(
        "{HEAD}<h1>Pay {amount} {currency}</h1><p>No real money moves here. Amounts are in minor units.</p>\
         {message}{actions}</html>"
    ))
}

/// What the storefront gets, and what a person without a storefront can send to the shop.
fn paid(confirmation: &Value) -> Reply {
    let body = serde_json::json!({ "details": confirmation });
    Reply::html(format!(
        "{HEAD}<h1 id=\"paid\">Paid</h1><p>The storefront gets this and sends it to <code>POST /v1/payments/{{id}}/confirm</code>:</p>\
         <pre>{}</pre><p>Even if it does not, the shop hears of the payment by a webhook.</p>\
         <script>if (window.opener) {{ window.opener.postMessage({confirmation}, '*'); window.close(); }}</script></html>",
        escape(&format!("{body:#}"))
    ))
}
