//! The HTTP server of a peer.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{Request, Response, Server};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::call::{Call, Reply};
use crate::faults::{Fault, Faults};
use crate::hooks::{Delivery, Hooks};

/// What a peer knows to answer.
pub(crate) trait Peer: Send + Sync + 'static {
    fn answer(&self, call: &Call) -> Reply;

    /// An error took the place of the answer, and stays there.
    fn spoil(&self, call: &Call);

    fn faults(&self) -> &Faults;

    fn hooks(&self) -> &Arc<Hooks>;

    /// The books: for each payment of the shop, what was captured and what was refunded.
    fn books(&self) -> Value;
}

/// A peer that runs until it is dropped.
#[derive(Debug)]
pub struct RunningPeer {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl RunningPeer {
    /// Starts a peer on a loopback port; 0 means any.
    pub(crate) async fn start(peer: Arc<dyn Peer>, port: u16) -> anyhow::Result<Self> {
        let acceptor = TcpListener::bind(("127.0.0.1", port)).into_acceptor().await;
        let acceptor = acceptor.with_context(|| format!("port {port}"))?;
        let address = acceptor.local_addr().first().and_then(|address| address.as_socket_addr().copied());
        let address = address.context("a listener has an address")?;
        let endpoint = poem::endpoint::make(move |request| {
            let peer = Arc::clone(&peer);
            async move { serve(peer, request).await }
        });
        let server = tokio::spawn(async move {
            if let Err(error) = Server::new_with_acceptor(acceptor).run(endpoint).await {
                eprintln!("a peer ended: {error}");
            }
        });
        Ok(Self { address, server })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it ends, which it does not by itself.
    pub async fn wait(mut self) {
        let _ = (&mut self.server).await;
    }
}

impl Drop for RunningPeer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(peer: Arc<dyn Peer>, mut request: Request) -> Response {
    let body = request.take_body().into_bytes().await.unwrap_or_default();
    let path = request.uri().path().split('/').filter(|part| !part.is_empty()).map(str::to_owned);
    let query = request.uri().query().unwrap_or_default();
    let call = Call {
        method: request.method().to_string(),
        path: path.collect(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: request.headers().clone(),
        body,
    };
    if call.path.first().is_some_and(|first| first == "_peer") {
        return respond(control(peer.as_ref(), &call));
    }
    let error = |status| Reply::json(status, &json!({ "error": { "type": "api_error" } }));
    let reply = match peer.faults().take(&call.operation()) {
        None => peer.answer(&call),
        Some(Fault::HangBefore) => {
            // A task of its own, which goes on when the connection is gone.
            let work = tokio::spawn(async move {
                peer.faults().hang().await;
                peer.answer(&call)
            });
            work.await.unwrap_or_else(|_| error(500))
        }
        Some(Fault::HangAfter) => {
            let reply = peer.answer(&call);
            peer.faults().hang().await;
            reply
        }
        Some(Fault::ErrorBefore) => error(503),
        Some(Fault::ErrorAfter) => {
            peer.answer(&call);
            peer.spoil(&call);
            error(500)
        }
        Some(Fault::ErrorKept) => {
            peer.spoil(&call);
            error(500)
        }
        Some(Fault::TooMany { retry_after }) => {
            error(429).with_header("retry-after", retry_after.to_string())
        }
        Some(Fault::Conflict) => error(409),
    };
    respond(reply)
}

fn respond(reply: Reply) -> Response {
    let mut response = Response::builder().content_type(reply.content_type);
    response = response.status(poem::http::StatusCode::from_u16(reply.status).unwrap_or_default());
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(reply.body)
}

#[derive(Deserialize)]
struct FaultWish {
    operation: String,
    fault: Fault,
}

#[derive(Deserialize)]
struct DeliveryWish {
    delivery: Delivery,
}

#[derive(Deserialize)]
struct ReleaseWish {
    #[serde(default)]
    reverse: bool,
}

/// `/_peer/…`: how a person tells a peer to misbehave, and looks into its books.
fn control(peer: &dyn Peer, call: &Call) -> Reply {
    let done = || Reply::json(200, &json!({ "done": true }));
    let wrong = |error: serde_json::Error| Reply::json(400, &json!({ "error": error.to_string() }));
    match (call.method.as_str(), call.parts().as_slice()) {
        ("GET", ["_peer", "books"]) => Reply::json(200, &peer.books()),
        ("POST", ["_peer", "faults"]) => match serde_json::from_slice::<FaultWish>(&call.body) {
            Ok(wish) => {
                peer.faults().add(&wish.operation, wish.fault);
                done()
            }
            Err(error) => wrong(error),
        },
        ("POST", ["_peer", "webhooks"]) => match serde_json::from_slice::<DeliveryWish>(&call.body) {
            Ok(wish) => {
                peer.hooks().set_delivery(wish.delivery);
                done()
            }
            Err(error) => wrong(error),
        },
        ("POST", ["_peer", "webhooks", "release"]) => match serde_json::from_slice::<ReleaseWish>(&call.body)
        {
            Ok(wish) => {
                peer.hooks().release(wish.reverse);
                done()
            }
            Err(error) => wrong(error),
        },
        _ => Reply::not_found(),
    }
}
