//! Connections: how many there are, how long they may be idle, and how they end.
//!
//! Each connection costs memory and a file handle, even if its client says nothing. So there is a limit for
//! all together, a limit for each network, and a time within which something must happen.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response, http};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::edge::client_address::TrustedProxies;
use crate::edge::settings::HttpSettings;
use crate::http::client_ip::network_of;
use crate::program::activity::Watched;
use crate::program::linger::Lingering;
use crate::program::places::{Connection, Places};

/// How many connections there may be, and how patient the server is.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Of all clients together. Further ones wait to be accepted, and idle ones end to make room for them.
    pub connections: usize,
    /// Of one network (see [`network_of`]), unless it is this machine or a trusted proxy. Further ones are closed
    /// at once.
    pub connections_per_network: usize,
    /// Whose connections are those of many clients.
    pub proxies: TrustedProxies,
    /// How long the head of a request may take.
    pub head_timeout: Duration,
    /// A connection ends after this long without a byte in either direction, and without a request that is
    /// being worked on.
    pub idle_timeout: Duration,
    /// How long a client may go on sending after the server has ended the connection.
    pub linger_timeout: Duration,
    /// Requests that one connection of HTTP/2 may have open at once.
    pub streams: u32,
    /// How long requests that are being worked on may take after the signal to stop.
    pub drain_timeout: Duration,
}

impl From<&HttpSettings> for Limits {
    fn from(settings: &HttpSettings) -> Self {
        Self {
            connections: settings.http_connections,
            connections_per_network: settings.http_connections_per_client,
            proxies: settings.trusted_proxies.clone(),
            head_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(5),
            streams: 100,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&HttpSettings::default())
    }
}

/// A connection that makes room for another one says goodbye, if that can be sent at once, and ends.
const FAREWELL: Duration = Duration::ZERO;

/// How long to wait when the process has no file handle left: the next try would fail as well.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Answers with `app` until `stop`; then finishes what is being worked on.
pub async fn serve(
    listener: TcpListener,
    app: impl Endpoint<Output = Response> + 'static,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (app, limits) = (Arc::new(app), Arc::new(limits));
    let places = Places::new(limits.connections);
    let by_network = ByNetwork::default();
    let (stopping, stopped) = watch::channel(false);
    let accept = async {
        let mut pause = Duration::from_millis(5);
        loop {
            let place = places.next().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = Duration::from_millis(5);
                    let Ok(of_network) = by_network.enter(peer.ip(), &limits) else {
                        metrics::counter!("commerce_connections_refused_total").increment(1);
                        continue;
                    };
                    let (app, limits, stopped) = (Arc::clone(&app), Arc::clone(&limits), stopped.clone());
                    tokio::spawn(async move {
                        answer(stream, peer, app, &limits, &place.connection, stopped).await;
                        drop::<Option<OfNetwork>>(of_network);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    };
    tokio::select! {
        ended = accept => { let Err(error): io::Result<Infallible> = ended; return Err(error) }
        () = stop => {}
    }
    drop(listener);
    let _ = stopping.send(true);
    let _ = timeout(limits.drain_timeout, places.all_free(limits.connections)).await;
    Ok(())
}

/// The client went away before it was accepted: the next one is another story.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Everything that comes over one connection.
async fn answer<E: Endpoint<Output = Response> + 'static>(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<E>,
    limits: &Limits,
    known: &Connection,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let local = LocalAddr(stream.local_addr().map_or(Addr::custom("tcp", ""), Addr::from));
    let activity = &known.activity;
    let service = service_fn(|request: http::Request<Incoming>| {
        let (app, local, at_work) = (Arc::clone(&app), local.clone(), activity.at_work());
        async move {
            let remote = RemoteAddr(Addr::from(peer));
            let response = app.get_response(Request::from((request, local, remote, Scheme::HTTP))).await;
            drop(at_work);
            Ok::<_, Infallible>(http::Response::from(response))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(16 * 1024);
    let stream = Lingering::new(stream, limits.linger_timeout);
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
    let connection = builder.serve_connection(stream, service);
    tokio::pin!(connection);

    let mut looks = interval(limits.idle_timeout / 4);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let patience = loop {
        tokio::select! {
            _ = &mut connection => return,
            _ = stopped.wait_for(|stopped| *stopped) => break limits.drain_timeout,
            () = known.asked_to_end() => break FAREWELL,
            _ = looks.tick() => if activity.idle() >= limits.idle_timeout { break limits.idle_timeout / 4 },
        }
    };
    connection.as_mut().graceful_shutdown();
    let _ = timeout(patience, connection).await;
}

/// How many connections each network has.
#[derive(Default, Clone)]
struct ByNetwork(Arc<Mutex<HashMap<String, usize>>>);

/// A network has all the connections that it may have.
struct NetworkIsFull;

/// One of the connections of a network, until it is dropped.
struct OfNetwork {
    counts: ByNetwork,
    network: String,
}

impl ByNetwork {
    /// Counts a connection, unless its address stands for many clients.
    fn enter(&self, peer: IpAddr, limits: &Limits) -> Result<Option<OfNetwork>, NetworkIsFull> {
        let peer = peer.to_canonical();
        if peer.is_loopback() || limits.proxies.contain(peer) {
            return Ok(None);
        }
        let network = network_of(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network.clone()).or_default();
        if *count >= limits.connections_per_network {
            return Err(NetworkIsFull);
        }
        *count += 1;
        Ok(Some(OfNetwork { counts: self.clone(), network }))
    }
}

impl Drop for OfNetwork {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_share_and_gets_it_back() {
        let limits = Limits {
            connections_per_network: 2,
            proxies: "10.0.0.0/8".parse().unwrap(),
            ..Limits::default()
        };
        let networks = ByNetwork::default();
        let enter = |peer: &str| networks.enter(peer.parse().unwrap(), &limits);
        let held = [enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(held.iter().all(Result::is_ok) && enter("2001:db8::3").is_err(), "they share a /64");
        assert!(enter("2001:db8:0:1::1").is_ok() && enter("192.0.2.1").is_ok());
        let [first, second] = held;
        drop(first);
        assert!(enter("2001:db8::3").is_ok(), "a place is free again");
        drop(second);
        assert!(networks.0.lock().unwrap().is_empty(), "nothing is kept of those who are gone");
        let many: Vec<_> =
            (0..9).map(|_| (enter("127.0.0.1"), enter("10.1.2.3"), enter("::ffff:10.0.0.1"))).collect();
        assert!(many.iter().all(|(own, proxy, mapped)| own.is_ok() && proxy.is_ok() && mapped.is_ok()));
    }
}
