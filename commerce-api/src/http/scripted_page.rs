//! Pages for people that have one script of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::Response;
use poem::http::header;
use sha2::{Digest as _, Sha256};

/// A page that may run its one script only, and may call this server only.
pub struct ScriptedPage {
    html: String,
    policy: String,
}

impl ScriptedPage {
    /// The page, with its script in the place of `{script}`.
    pub fn new(html: &str, script: &str) -> Self {
        let digest = STANDARD.encode(Sha256::digest(script));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; \
             connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        );
        Self { html: html.replace("{script}", script), policy }
    }

    pub fn answer(&'static self) -> Response {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, self.policy.as_str())
            .body(self.html.as_str())
    }
}
