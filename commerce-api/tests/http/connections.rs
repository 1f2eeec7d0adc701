//! Clients that hold a connection and say little.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use commerce_api::program::connections::{self, Limits};
use poem::{Endpoint, EndpointExt as _, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A second is a long time here.
fn impatient() -> Limits {
    Limits {
        head_timeout: Duration::from_millis(1000),
        idle_timeout: Duration::from_millis(1500),
        ..Limits::default()
    }
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

/// Answers `done` to every request, after a second for /slow.
async fn start(limits: Limits) -> Server {
    let app = poem::endpoint::make(async |request: poem::Request| {
        if request.uri().path() == "/slow" {
            sleep(Duration::from_millis(2500)).await;
        }
        "done"
    });
    let app: Box<dyn poem::endpoint::DynEndpoint<Output = Response>> =
        Box::new(poem::endpoint::ToDynEndpoint(app.map_to_response()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serve = connections::serve(listener, boxed(app), limits, async {
        let _ = stopped.await;
    });
    Server { address, stop, ended: tokio::spawn(serve) }
}

fn boxed(app: Box<dyn poem::endpoint::DynEndpoint<Output = Response>>) -> impl Endpoint<Output = Response> {
    app
}

/// Sends this, a piece every 300 ms, and returns what came back and how long it was until the server hung up.
async fn told(address: SocketAddr, pieces: &[&str]) -> (String, Duration) {
    let begun = Instant::now();
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    let writing = tokio::spawn(async move {
        for piece in pieces {
            if writer.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(300)).await;
        }
        writer
    });
    let mut answer = Vec::new();
    let _ =
        timeout(Duration::from_secs(20), reader.read_to_end(&mut answer)).await.expect("the server hangs up");
    writing.abort();
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_too_little_is_hung_up_on() {
    let server = start(impatient()).await;
    let headers: Vec<String> = (0..40).map(|number| format!("X-{number}: y\r\n")).collect();
    let mut trickled = vec!["GET / HTTP/1.1\r\n"];
    trickled.extend(headers.iter().map(String::as_str));
    for pieces in [
        &[][..],
        &["GET / HT"],
        &["GET / HTTP/1.1\r\nHost: x\r\n"],
        &trickled,
        &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        &["GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ] {
        let (answer, time) = told(server.address, pieces).await;
        let is_whole = pieces.last().is_some_and(|last| last.ends_with("x\r\n\r\n"));
        assert_eq!(answer.ends_with("done"), is_whole, "{pieces:?}: {answer:?}");
        assert!(time < Duration::from_secs(6), "{pieces:?} took {time:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_not_taken_for_idleness() {
    let server = start(impatient()).await;
    let (answer, _) = told(server.address, &["GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"]).await;
    assert!(answer.ends_with("done"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_makes_room_for_who_waits() {
    let server = start(Limits { connections: 2, ..Limits::default() }).await;
    let connect = async || TcpStream::connect(server.address).await.unwrap();
    let mut silent = [connect().await, connect().await];
    silent[0].write_all(b"GET / HT").await.unwrap();
    let (answer, time) =
        told(server.address, &["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]).await;
    assert!(answer.ends_with("done"), "{answer:?}");
    // Long before the timeouts, but not at once: a second ago they may have been about to speak.
    assert!((800..5000).contains(&time.as_millis()), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_the_silent_keeps_nobody_out() {
    let server = start(Limits { connections: 8, ..Limits::default() }).await;
    let address = server.address;
    // Each begins a request, says no more, and comes again when it is hung up on.
    let crowd: Vec<_> = (0..24)
        .map(|_| {
            tokio::spawn(async move {
                loop {
                    told(address, &["GET / HTTP/1.1\r\n"]).await;
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        let (answer, time) = told(address, &["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]).await;
        assert!(answer.ends_with("done"), "{answer:?}");
        assert!(time < Duration::from_secs(8), "{time:?}");
    }
    for silent in crowd {
        silent.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_tells_how_many_streams_there_may_be() {
    let server = start(Limits { streams: 7, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The preface and an empty frame of settings (RFC 9113, 3.4 and 6.5).
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame is one of settings");
    let mut settings = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 7]), "{settings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_worked_on_is_finished_when_the_server_stops() {
    let server = start(Limits::default()).await;
    let (silent, asked) = (TcpStream::connect(server.address).await.unwrap(), server.address);
    let slow = tokio::spawn(async move { told(asked, &["GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"]).await });
    sleep(Duration::from_millis(300)).await;
    server.stop.send(()).unwrap();
    timeout(Duration::from_secs(5), server.ended).await.unwrap().unwrap().unwrap();
    let (answer, _) = slow.await.unwrap();
    assert!(answer.ends_with("done"), "{answer:?}");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    drop(silent);
}
