//! Shoppers who check out, and readers who read, over HTTP: each on a connection of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::figures::Figures;
use crate::goods::{Carts, cart_tokens, token};

const BODY: &str = r#"{"email":"ada@example.com","shipping_address":{"name":"Ada Lovelace","line1":"12 St James's Square","city":"London","postal_code":"SW1Y 4JH","country":"GB"}}"#;

pub async fn run(address: SocketAddr, carts: &Carts, time: Duration) -> Result<Figures> {
    let begin = Instant::now();
    let shoppers: Vec<_> = (0..carts.clients)
        .map(|client| {
            let first = carts.first + i64::try_from(client).unwrap_or(0) * carts.each;
            tokio::spawn(shop(address, first..first + carts.each, begin + time))
        })
        .collect();
    let mut figures = Figures::default();
    for shopper in shoppers {
        let (latencies, errors) = shopper.await??;
        figures.latencies.extend(latencies);
        figures.errors += errors;
    }
    figures.time = begin.elapsed();
    Ok(figures)
}

async fn shop(
    address: SocketAddr,
    numbers: std::ops::Range<i64>,
    end: Instant,
) -> Result<(Vec<Duration>, u64)> {
    let mut sender = connect(address).await?;
    let tokens = cart_tokens()?;
    let (mut latencies, mut errors) = (Vec::new(), 0);
    for number in numbers {
        let begin = Instant::now();
        if begin >= end {
            return Ok((latencies, errors));
        }
        if check_out(&mut sender, address, &token(&tokens, number), number).await? {
            latencies.push(begin.elapsed());
        } else {
            errors += 1;
        }
    }
    ensure!(Instant::now() >= end, "the carts ran out: this machine is faster than the benchmark thought");
    Ok((latencies, errors))
}

async fn check_out(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    token: &str,
    number: i64,
) -> Result<bool> {
    let request = Request::post("/v1/orders/checkout")
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .header("cart-token", token)
        .header("idempotency-key", format!("bench-{number}"))
        .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
    sender.ready().await.context("the server hung up")?;
    let response = sender.send_request(request).await?;
    let created = response.status() == 201;
    response.into_body().collect().await?;
    Ok(created)
}

/// What a reader asks for.
#[derive(Debug, Clone)]
pub enum Question {
    Get(String),
    /// With a JSON body.
    Post(&'static str, String),
}

/// The body of one answer.
pub async fn get(address: SocketAddr, question: &Question) -> Result<Vec<u8>> {
    let mut sender = connect(address).await?;
    let (is_okay, body) = ask(&mut sender, address, question).await?;
    ensure!(is_okay, "{question:?} was not answered with 200: {}", String::from_utf8_lossy(&body));
    Ok(body)
}

/// Readers who ask these questions in turn, each on a connection of its own.
pub async fn read(
    address: SocketAddr,
    questions: &[Question],
    clients: usize,
    time: Duration,
) -> Result<Figures> {
    let begin = Instant::now();
    let readers: Vec<_> = (0..clients)
        .map(|client| {
            let questions: Vec<Question> = questions
                .iter()
                .cycle()
                .skip(client * 7 % questions.len())
                .take(questions.len())
                .cloned()
                .collect();
            tokio::spawn(read_on(address, questions, begin + time))
        })
        .collect();
    let mut figures = Figures::default();
    for reader in readers {
        let (latencies, errors) = reader.await??;
        figures.latencies.extend(latencies);
        figures.errors += errors;
    }
    figures.time = begin.elapsed();
    Ok(figures)
}

async fn read_on(
    address: SocketAddr,
    questions: Vec<Question>,
    end: Instant,
) -> Result<(Vec<Duration>, u64)> {
    let mut sender = connect(address).await?;
    let (mut latencies, mut errors) = (Vec::new(), 0);
    for question in questions.iter().cycle() {
        let begin = Instant::now();
        if begin >= end {
            break;
        }
        match ask(&mut sender, address, question).await? {
            (true, _) => latencies.push(begin.elapsed()),
            (false, _) => errors += 1,
        }
    }
    Ok((latencies, errors))
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    question: &Question,
) -> Result<(bool, Vec<u8>)> {
    let (request, body) = match question {
        Question::Get(path) => (Request::get(path), Full::default()),
        Question::Post(path, json) => (
            Request::post(*path).header("content-type", "application/json"),
            Full::new(Bytes::from(json.clone())),
        ),
    };
    let request = request.header("host", address.to_string()).body(body)?;
    sender.ready().await.context("the server hung up")?;
    let response = sender.send_request(request).await?;
    let is_okay = response.status() == 200;
    Ok((is_okay, response.into_body().collect().await?.to_bytes().to_vec()))
}
