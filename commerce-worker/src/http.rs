//! `/healthz`, `/readyz` and `/metrics`, for operators. HTTP/1.1, GET, one answer for each connection. Do not
//! expose it to the internet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use commerce_core::db::Pool;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const REQUEST_BYTES_MAX: u64 = 8 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The facts that the answers are made of.
pub struct Vitals {
    pub metrics: PrometheusHandle,
    pub pool: Pool,
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, vitals: Arc<Vitals>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let vitals = Arc::clone(&vitals);
                tokio::spawn(async move {
                    let answered = tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, &vitals)).await;
                    tracing::trace!(%peer, ?answered, "http");
                });
            }
            // For example, too many open files. Others must be closed first.
            Err(error) => {
                tracing::warn!(%error, "http connection not accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Binds the address. The error names the address.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))
}

async fn answer(mut stream: TcpStream, vitals: &Vitals) -> std::io::Result<()> {
    let mut lines = BufReader::new((&mut stream).take(REQUEST_BYTES_MAX)).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|header| !header.is_empty()) {}

    let (method, path) = request.split_once(' ').unwrap_or_default();
    let path = path.split([' ', '?']).next().unwrap_or_default();
    let (status, body) = match (method, path) {
        ("GET" | "HEAD", "/healthz") => ("200 OK", "ok\n".to_owned()),
        ("GET" | "HEAD", "/readyz") => match vitals.pool.get().await {
            Ok(_) => ("200 OK", "ok\n".to_owned()),
            Err(error) => ("503 Service Unavailable", format!("database: {error}\n")),
        },
        ("GET" | "HEAD", "/metrics") => ("200 OK", vitals.metrics.render()),
        ("GET" | "HEAD", _) => ("404 Not Found", "not found\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is allowed\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Allow: GET, HEAD\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}
