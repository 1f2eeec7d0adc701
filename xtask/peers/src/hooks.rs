//! Webhooks: what was to be sent, and how it is delivered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use url::Url;

/// How webhooks are delivered from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// At once.
    #[default]
    Send,
    /// Not at all.
    Lose,
    /// Two times.
    Twice,
    /// After so many milliseconds.
    Late { milliseconds: u64 },
    /// Not before [`Hooks::release`].
    Hold,
}

/// A signed webhook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The provider's id of the event.
    pub id: String,
    /// The provider's name of the event.
    pub kind: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// All webhooks of a peer.
#[derive(Debug, Default)]
pub struct Hooks {
    target: Mutex<Option<String>>,
    delivery: Mutex<Delivery>,
    all: Mutex<Vec<Hook>>,
    held: Mutex<Vec<Hook>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hooks {
    /// Where webhooks go. Without a target they are only kept.
    pub fn deliver_to(&self, url: impl Into<String>) {
        *lock(&self.target) = Some(url.into());
    }

    pub fn set_delivery(&self, delivery: Delivery) {
        *lock(&self.delivery) = delivery;
    }

    /// Every webhook so far, in the order of their events, however they were delivered.
    pub fn all(&self) -> Vec<Hook> {
        lock(&self.all).clone()
    }

    /// Delivers what was held, in the order of the events or the other way round.
    pub fn release(self: &Arc<Self>, reverse: bool) {
        let mut held: Vec<Hook> = lock(&self.held).drain(..).collect();
        if reverse {
            held.reverse();
        }
        let hooks = Arc::clone(self);
        tokio::spawn(async move {
            for hook in held {
                hooks.send(hook).await;
            }
        });
    }

    pub(crate) fn add(self: &Arc<Self>, hook: Hook) {
        lock(&self.all).push(hook.clone());
        let delivery = *lock(&self.delivery);
        let (times, pause) = match delivery {
            Delivery::Send => (1, 0),
            Delivery::Lose => return,
            Delivery::Twice => (2, 0),
            Delivery::Late { milliseconds } => (1, milliseconds),
            Delivery::Hold => {
                lock(&self.held).push(hook);
                return;
            }
        };
        let hooks = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            for _ in 0..times {
                hooks.send(hook.clone()).await;
            }
        });
    }

    /// Sends until the answer is 2xx, but only a few times.
    async fn send(&self, hook: Hook) {
        for pause in [1, 2, 4, 8] {
            // It may be another address by now.
            let Some(target) = lock(&self.target).clone() else { return };
            match post(&target, &hook).await {
                Ok(200..=299) => return,
                Ok(status) => eprintln!("the shop answered {status} to {} {}", hook.kind, hook.id),
                Err(error) => eprintln!("the shop did not take {} {}: {error:#}", hook.kind, hook.id),
            }
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }
}

/// Sends a webhook over plain HTTP. Returns the status of the answer.
async fn post(target: &str, hook: &Hook) -> anyhow::Result<u16> {
    let url = Url::parse(target)?;
    let address = url.socket_addrs(|| None)?;
    let stream = TcpStream::connect(address.as_slice()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = http::Request::post(url.path())
        .header(http::header::HOST, url.authority())
        .header(http::header::CONTENT_TYPE, "application/json; charset=utf-8");
    for (name, value) in &hook.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(hook.body.clone())))?;
    let answer = tokio::time::timeout(Duration::from_secs(10), sender.send_request(request)).await??;
    Ok(answer.status().as_u16())
}
