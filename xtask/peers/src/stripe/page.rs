//! The hosted page, on which a person pays, is declined, or goes back.

use std::fmt::Write as _;

use super::books::{Books, Session};
use crate::call::{Call, Reply, escape};
use crate::look::{NO_REAL_MONEY, page, price};

pub(super) fn answer(books: &mut Books, call: &Call) -> Reply {
    match (call.method.as_str(), call.parts().as_slice()) {
        ("GET", ["pay", id]) => match books.session(id) {
            Some(session) => show(session, call.parameter("declined").is_some()),
            None => Reply::not_found(),
        },
        ("POST", ["pay", id, action]) => act(books, id, action),
        _ => Reply::not_found(),
    }
}

fn act(books: &mut Books, id: &str, action: &str) -> Reply {
    let Some(session) = books.session(id).cloned() else { return Reply::not_found() };
    let again = format!("/pay/{id}");
    match action {
        "card" if books.pay(id) => Reply::redirect(&success_url(&session)),
        "debit" if books.pay_slowly(id) => Reply::redirect(&success_url(&session)),
        "decline" if books.decline(id) => Reply::redirect(&format!("{again}?declined=1")),
        _ => Reply::redirect(&again),
    }
}

fn success_url(session: &Session) -> String {
    session.success_url.replace("{CHECKOUT_SESSION_ID}", &session.id)
}

fn show(session: &Session, is_declined: bool) -> Reply {
    let (id, currency) = (&session.id, &session.currency);
    let mut lines = String::new();
    for line in &session.lines {
        let amount = price(line.quantity * line.unit_amount, currency);
        let _ = write!(lines, "<li>{} × {}: {amount}</li>", line.quantity, escape(&line.name));
    }
    let total = price(session.amount_total, currency);
    let actions = if session.status == "open" {
        let cancel = session.cancel_url.as_deref().map_or_else(String::new, |url| {
            format!("<p><a id=\"cancel\" href=\"{}\">Go back without paying</a></p>", escape(url))
        });
        format!(
            "<form method=\"post\" action=\"/pay/{id}/card\"><button id=\"pay\">Pay</button></form>\
             <form method=\"post\" action=\"/pay/{id}/debit\"><button id=\"debit\">Pay by bank debit (takes a while)</button></form>\
             <form method=\"post\" action=\"/pay/{id}/decline\"><button id=\"decline\">Pay with a card that is declined</button></form>\
             {cancel}"
        )
    } else {
        let what = match session.status {
            "complete" => "This payment is complete.",
            _ => "This page has expired. Begin another payment in the shop.",
        };
        format!("<p id=\"closed\">{what}</p>")
    };
    let declined = if is_declined { "<p id=\"declined\">Your card was declined.</p>" } else { "" };
    page(
        "Stripe's stand-in",
        &format!("<h1>Pay {total}</h1><ul>{lines}</ul>{declined}{actions}{NO_REAL_MONEY}"),
    )
}
