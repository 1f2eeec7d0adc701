//! The end of a connection whose client still sends.
//!
//! A request can be answered before all of it is read: its body is too large, or of a type that nobody reads. If the
//! server closed the connection then, the kernel would reset it, and the client would see a broken connection
//! instead of the answer (RFC 9112, 9.6). So the server says that it is done, and throws away what still comes for
//! a short time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How much of it is thrown away; a client that sends still more is cut off.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What one look throws away before other connections have their turn.
const BYTES_PER_TURN: usize = 256 * 1024;

/// A stream that ends only when its client has ended, or was given enough time to.
pub struct Lingering<S> {
    stream: S,
    state: State,
    time_max: Duration,
}

enum State {
    Open,
    /// Nothing is written any more.
    Closing {
        bytes: usize,
        end: Pin<Box<Sleep>>,
    },
}

impl<S> Lingering<S> {
    /// What still comes after the end is thrown away for so long.
    pub fn new(stream: S, time_max: Duration) -> Self {
        Self { stream, state: State::Open, time_max }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, state, time_max } = &mut *self;
        if matches!(state, State::Open) {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            *state = State::Closing { bytes: 0, end: Box::pin(sleep(*time_max)) };
        }
        let State::Closing { bytes, end } = state else { return Poll::Ready(Ok(())) };
        let turn_ends = *bytes + BYTES_PER_TURN;
        let mut thrown_away = [0; 16 * 1024];
        while *bytes < BYTES_MAX && end.as_mut().poll(cx).is_pending() {
            if *bytes >= turn_ends {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *bytes += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that answers after the first byte, and a client that sends `bytes` before it reads.
    async fn answer_to(bytes: usize) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let mut server = Lingering::new(listener.accept().await?.0, Duration::from_secs(30));
        tokio::spawn(async move {
            server.read_u8().await?;
            server.write_all(b"too large").await?;
            server.shutdown().await
        });
        client.write_all(&vec![b'x'; bytes]).await?;
        client.shutdown().await?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn who_sends_on_still_reads_the_answer() {
        assert_eq!(answer_to(50_000_000).await.unwrap(), "too large");
    }

    #[tokio::test]
    async fn who_sends_without_end_is_cut_off() {
        answer_to(200_000_000).await.unwrap_err();
    }

    #[tokio::test]
    async fn who_neither_sends_nor_ends_is_cut_off_in_time() {
        let (server, _client) = tokio::io::duplex(64);
        let mut server = Lingering::new(server, Duration::from_millis(50));
        tokio::time::timeout(Duration::from_secs(5), server.shutdown()).await.unwrap().unwrap();
    }
}
