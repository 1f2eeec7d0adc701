//! Mails from templates: `<template>.txt`, whose first line is the subject, and `<template>.html`, where values are escaped.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::Template;

macro_rules! sources {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("templates/", $name)))),+] };
}

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    let sources = sources![
        "account_exists.html",
        "account_exists.txt",
        "address.html",
        "address.txt",
        "authorization_lapses_alert.html",
        "authorization_lapses_alert.txt",
        "contact_message.html",
        "contact_message.txt",
        "declaration.html",
        "declaration.txt",
        "dispute_alert.html",
        "dispute_alert.txt",
        "email_change_code.html",
        "email_change_code.txt",
        "email_change_requested.html",
        "email_change_requested.txt",
        "email_changed.html",
        "email_changed.txt",
        "late_payment_alert.html",
        "late_payment_alert.txt",
        "layout.html",
        "order.html",
        "order.txt",
        "order_authorized.html",
        "order_authorized.txt",
        "order_cancelled.html",
        "order_cancelled.txt",
        "order_confirmed.html",
        "order_confirmed.txt",
        "order_delivered.html",
        "order_delivered.txt",
        "order_link.html",
        "order_link.txt",
        "order_received.html",
        "order_received.txt",
        "order_shipped.html",
        "order_shipped.txt",
        "password_changed.html",
        "password_changed.txt",
        "password_reset.html",
        "password_reset.txt",
        "low_stock_alert.html",
        "low_stock_alert.txt",
        "more.html",
        "more.txt",
        "parcel.html",
        "parcel.txt",
        "payment_failed_alert.html",
        "payment_failed_alert.txt",
        "payment_mismatch_alert.html",
        "payment_mismatch_alert.txt",
        "payment_refunded.html",
        "payment_refunded.txt",
        "refund_by_hand_alert.html",
        "refund_by_hand_alert.txt",
        "refund_failed_alert.html",
        "refund_failed_alert.txt",
        "refund_mismatch_alert.html",
        "refund_mismatch_alert.txt",
        "return_goods.html",
        "return_goods.txt",
        "return_update.html",
        "return_update.txt",
        "second_factor_removed.html",
        "second_factor_removed.txt",
        "second_factor_set_up.html",
        "second_factor_set_up.txt",
        "set_password.html",
        "set_password.txt",
        "signature.txt",
        "verify_email_code.html",
        "verify_email_code.txt",
        "welcome.html",
        "welcome.txt",
        "withdrawal_alert.html",
        "withdrawal_alert.txt",
        "withdrawal_received.html",
        "withdrawal_received.txt",
    ];
    for (name, source) in sources {
        environment.add_template(name, source)?;
    }
    Ok(environment)
});

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Fills a template with facts. An error is a mistake in the template or a fact that it lacks.
pub(super) fn render(template: Template, facts: impl Serialize) -> Result<Rendered, String> {
    let environment = TEMPLATES.as_ref().map_err(minijinja::Error::to_string)?;
    let facts = minijinja::Value::from_serialize(facts);
    let fill = |extension: &str| {
        let source = environment.get_template(&format!("{template}.{extension}"))?;
        source.render(&facts)
    };
    let text = fill("txt").map_err(|error| error.to_string())?;
    let html = fill("html").map_err(|error| error.to_string())?;
    let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Rendered { subject: subject.trim().to_owned(), text: text.trim().to_owned() + "\n", html })
}
