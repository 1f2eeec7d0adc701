//! The page on which guests see an order, for shops whose storefront has none. The mailed link leads to it. The
//! token stands behind the `#` of the link, because browsers do not send that part to any server.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::http::header;
use poem::{Response, handler};
use sha2::{Digest as _, Sha256};

const SCRIPT: &str = include_str!("order_page/script.js");

static PAGE: LazyLock<String> =
    LazyLock::new(|| include_str!("order_page/page.html").replace("{script}", SCRIPT));

/// The page may run this one script only, and may call this server only.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; \
         connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
});

#[handler]
pub fn show() -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY.as_str())
        .body(PAGE.as_str())
}
