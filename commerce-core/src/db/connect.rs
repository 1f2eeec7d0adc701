//! Connects to a server: over TLS or not, and so that errors have their SQLSTATE.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::server_url::ServerUrl;
use super::sqlstate::Marker;
use super::tls::{Encryption, TlsRules};

/// A server, and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    connector: Connector,
    is_local: bool,
    /// `sslmode` was not given, and the server is not on this machine.
    assumes_tls: bool,
}

impl Server {
    /// Reads an address and, if it names one, the file of authorities.
    pub(super) fn parse(address: &str) -> ConnectionResult<Self> {
        let wrong = |error: String| ConnectionError::InvalidConnectionUrl(error);
        let ServerUrl { rest, sslmode, sslrootcert } = ServerUrl::parse(address);
        let mut config: Config = rest.parse().map_err(|error| wrong(describe(&error)))?;
        if config.get_hosts().is_empty() {
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        let is_local = config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)));
        let is_here = config.get_hosts().iter().all(is_this_machine)
            && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
        let rules = TlsRules::read(sslmode.as_deref(), sslrootcert.as_deref(), is_here).map_err(wrong)?;
        let is_direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
        let mut tls = rules.config;
        if is_direct {
            tls.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        let connector =
            Connector { encryption: rules.encryption, is_direct, tls: MakeRustlsConnect::new(tls) };
        Ok(Self { config, connector, is_local, assumes_tls: sslmode.is_none() && !is_here })
    }

    /// A new connection with these options of the server added.
    pub(super) async fn connect(&self, options: &str) -> ConnectionResult<AsyncPgConnection> {
        let mut config = self.config.clone();
        let options = [config.get_options().unwrap_or_default(), options].join(" ");
        config.options(options.trim());
        config.connect_timeout(Duration::from_secs(5));
        let failed = |error: tokio_postgres::Error| {
            let hint = if self.assumes_tls && describe(&error).contains(NO_TLS) {
                ". Without TLS the password and everything else could be read on the way. If that may be, write \
                 sslmode=prefer or sslmode=disable into the address of the database"
            } else {
                ""
            };
            ConnectionError::BadConnection(format!("{}{hint}", describe(&error)))
        };
        if self.is_local {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            let mut conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
            // The bytes of a local socket cannot be read on their way, so its errors are told by their text.
            speak_english(&mut conn).await?;
            return Ok(conn);
        }
        // tokio-postgres then leaves the negotiation to the connector, also when the server has no TLS.
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        let (client, connection) = config.connect(self.connector.clone()).await.map_err(failed)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }
}

const NO_TLS: &str = "the server does not offer TLS";

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Makes the server speak English on this connection. Only a superuser may choose the language, so the error
/// says what a superuser has to do.
async fn speak_english(conn: &mut AsyncPgConnection) -> ConnectionResult<()> {
    if conn.batch_execute("SET lc_messages = 'C'").await.is_ok() {
        return Ok(());
    }
    // Names of languages do not tell which texts are installed, so an error is looked at.
    if conn.batch_execute("SELECT 1 / 0").await.is_err_and(|error| error.to_string() == "division by zero") {
        return Ok(());
    }
    Err(ConnectionError::BadConnection(
        "over a local socket the server must speak English. Connect to 127.0.0.1, or let a superuser run: \
         ALTER ROLE … SET lc_messages = 'C'"
            .to_owned(),
    ))
}

/// Agrees with a server on TLS.
#[derive(Clone)]
struct Connector {
    encryption: Encryption,
    /// TLS begins at once, without asking (`sslnegotiation=direct`).
    is_direct: bool,
    tls: MakeRustlsConnect,
}

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
type Handshake = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

/// SSLRequest: its length, and the number that stands for it.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

impl MakeTlsConnect<Socket> for Connector {
    type Stream = ServerStream;
    type TlsConnect = Negotiation;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn make_tls_connect(&mut self, host: &str) -> Result<Negotiation, Self::Error> {
        let handshake = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.tls, host)?;
        Ok(Negotiation { encryption: self.encryption, is_direct: self.is_direct, handshake })
    }
}

struct Negotiation {
    encryption: Encryption,
    is_direct: bool,
    handshake: Handshake,
}

impl Negotiation {
    async fn run(self, mut socket: Socket) -> io::Result<ServerStream> {
        if self.encryption == Encryption::Never {
            return Ok(ServerStream::new(Transport::Plain(socket)));
        }
        if !self.is_direct {
            socket.write_all(&SSL_REQUEST).await?;
            let mut answer = [0];
            socket.read_exact(&mut answer).await?;
            match (answer, self.encryption) {
                ([b'S'], _) => {}
                (_, Encryption::IfOffered) => return Ok(ServerStream::new(Transport::Plain(socket))),
                _ => return Err(io::Error::other(NO_TLS)),
            }
        }
        let encrypted = self.handshake.connect(socket).await?;
        Ok(ServerStream::new(Transport::Tls(Box::new(encrypted))))
    }
}

impl TlsConnect<Socket> for Negotiation {
    type Stream = ServerStream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<ServerStream>>;

    fn connect(self, socket: Socket) -> Self::Future {
        self.run(socket).boxed()
    }
}

enum Transport {
    Plain(Socket),
    Tls(Box<Encrypted>),
}

/// The bytes from and to a server. The errors among them are marked.
struct ServerStream {
    transport: Transport,
    marker: Marker,
    /// Marked bytes that were not read yet, from `read` on.
    marked: Vec<u8>,
    read: usize,
}

impl ServerStream {
    fn new(transport: Transport) -> Self {
        Self { transport, marker: Marker::default(), marked: Vec::new(), read: 0 }
    }
}

/// How much is read at once.
const CHUNK: usize = 8 * 1024;

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { transport, marker, marked, read } = self.get_mut();
        while *read == marked.len() {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(match transport {
                Transport::Plain(stream) => Pin::new(stream).poll_read(context, &mut chunk),
                Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, &mut chunk),
            })?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            marked.clear();
            *read = 0;
            marker.pass(chunk.filled(), marked);
        }
        let unread = marked.get(*read..).unwrap_or_default();
        let part = unread.get(..buf.remaining()).unwrap_or(unread);
        buf.put_slice(part);
        *read += part.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

impl TlsStream for ServerStream {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.transport {
            Transport::Plain(_) => ChannelBinding::none(),
            Transport::Tls(stream) => stream.channel_binding(),
        }
    }
}
