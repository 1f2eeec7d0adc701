//! A request that a peer was sent, and its answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// The parts of the path.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// The method and the path with `{id}` for ids, such as `POST /v1/payment_intents/{id}/capture`.
    pub fn operation(&self) -> String {
        let is_id = |part: &str| part.contains('_') && part.bytes().any(|byte| byte.is_ascii_digit());
        let parts = self.path.iter().map(|part| if is_id(part) { "{id}" } else { part.as_str() });
        format!("{} /{}", self.method, parts.collect::<Vec<_>>().join("/"))
    }

    /// The parts of the path as they are matched.
    pub fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The last value of a parameter in the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The fields of a form; a field that is there twice is an error.
    pub fn form(&self) -> Result<BTreeMap<String, String>, String> {
        let mut fields = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(&self.body) {
            // Lists such as `expand[]` may be repeated.
            let repeated = fields.insert(key.to_string(), value.to_string()).is_some();
            if repeated && !key.ends_with("[]") {
                return Err(format!("{key} is there twice"));
            }
        }
        Ok(fields)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: body.to_string() }
    }

    pub fn html(body: String) -> Self {
        Self { status: 200, content_type: "text/html; charset=utf-8", headers: Vec::new(), body }
    }

    pub fn script(body: &str) -> Self {
        Self { status: 200, content_type: "text/javascript", headers: Vec::new(), body: body.to_owned() }
    }

    pub fn redirect(to: &str) -> Self {
        let headers = vec![("location", to.to_owned())];
        Self { status: 303, content_type: "text/plain", headers, body: String::new() }
    }

    pub fn not_found() -> Self {
        Self::json(404, &serde_json::json!({ "error": { "message": "there is nothing here" } }))
    }

    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Text for a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
