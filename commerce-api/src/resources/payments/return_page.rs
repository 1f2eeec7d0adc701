//! The pages to which a payment provider sends the shopper back, for shops whose storefront has none. They know nothing
//! about the payment: the provider tells the shop itself.

use poem::http::header;
use poem::{Response, handler};

const PAGE: &str = include_str!("return_page/page.html");

/// The pages run no script and load nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// After the shopper has paid.
#[handler]
pub fn show_paid() -> Response {
    let text = "The shop has your order, and you get an e-mail as soon as the payment is confirmed. \
                You can close this page.";
    page("Thank you", text)
}

/// After the shopper has left the provider's page without paying.
#[handler]
pub fn show_cancelled() -> Response {
    let text = "You have not paid. The shop still has your order for a while, and you can pay it again in the shop. \
                You can close this page.";
    page("The payment was cancelled", text)
}

fn page(title: &str, text: &str) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .body(PAGE.replace("{title}", title).replace("{text}", text))
}
