//! Whoever talks to the API over the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::program::PATIENCE;

/// Sends requests to wherever the API listens now. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: Arc<watch::Sender<SocketAddr>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The `code` of a problem document that must have this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        self.expect(status)["code"].as_str().expect("a problem document").to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A request to be sent, as often as need be.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

pub fn ask(method: Method, path: impl Into<String>) -> Ask {
    Ask { method, path: path.into(), headers: Vec::new(), body: None }
}

pub fn get(path: impl Into<String>) -> Ask {
    ask(Method::GET, path)
}

pub fn post(path: impl Into<String>, body: &Value) -> Ask {
    ask(Method::POST, path).json(body)
}

impl Ask {
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    pub fn bytes(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", content_type)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As a customer or as staff.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// As a guest.
    pub fn cart(self, token: &str) -> Self {
        self.header("Cart-Token", token)
    }

    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { http: http_client(), address: Arc::new(watch::channel(address).0) }
    }

    /// The API is elsewhere from now on.
    pub fn moved(&self, address: SocketAddr) {
        self.address.send_replace(address);
    }

    /// Sends it once; an error if no whole answer came back.
    pub async fn try_send(&self, ask: Ask) -> reqwest::Result<Got> {
        let url = format!("http://{}{}", *self.address.borrow(), ask.path);
        let mut request = self.http.request(ask.method, url);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(body) = ask.body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Got { status, headers, text: response.text().await? })
    }

    /// Sends the same request until it is answered: again if nobody answers, if the provider did not, and if the same
    /// request is still being worked on.
    pub async fn insist(&self, ask: Ask) -> Got {
        let started = Instant::now();
        loop {
            match self.try_send(ask.clone()).await {
                Ok(got) if matches!(got.status, 502 | 503) => assert!(got.header("retry-after").is_some()),
                Ok(got) if got.status == 409 && got.json()["code"] == "idempotency_key_in_use" => {}
                Ok(got) => return got,
                Err(_) => {}
            }
            assert!(started.elapsed() < PATIENCE, "no answer, however often it is sent: {ask:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn send(&self, ask: Ask) -> Got {
        self.try_send(ask).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }
}

/// Where everything goes.
pub fn address() -> Value {
    json!({ "name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" })
}

/// A client that is told whose cryptography to use: reqwest is built without a choice of its own.
fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
