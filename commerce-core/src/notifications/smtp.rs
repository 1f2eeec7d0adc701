//! Mails handed to an SMTP server.
//!
//! The connections are our own, over lettre's protocol. Its transport limits only the time to connect, and takes a
//! connection back whose answer nobody has waited for: that answer would count for the next mail. Here each answer
//! has a time, and a connection with an answer still to come is closed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use super::smtp_address::{Encryption, InvalidSmtpUrl, SmtpAddress};
use super::{Mail, Mailer, SendMailError};

/// How many connections are kept for the next mail, and how long. Servers close them after some minutes.
const KEPT_MAX: usize = 16;
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Sends over SMTP, on connections that are kept and reused.
#[derive(Clone)]
pub struct SmtpMailer {
    address: Arc<SmtpAddress>,
    answer_within: Duration,
    kept: Arc<Mutex<Vec<Kept>>>,
}

/// A connection on which nothing is to be answered.
struct Kept {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl SmtpMailer {
    /// How long the server may take for each answer, unless told otherwise.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

    /// `url` is `smtps://user:password@host:port` for TLS from the start, `smtp://…?tls=required` for STARTTLS,
    /// `smtp://…?tls=opportunistic` for STARTTLS where the server offers it, or plain `smtp://…`. Connects at first use.
    pub fn new(url: &str) -> Result<Self, InvalidSmtpUrl> {
        let address = Arc::new(url.parse()?);
        Ok(Self { address, answer_within: Self::ANSWER_WITHIN, kept: Arc::default() })
    }

    /// The same with another time for each answer.
    pub fn answer_within(self, answer_within: Duration) -> Self {
        Self { answer_within, ..self }
    }

    /// Hands over one mail, and returns what the server answered.
    pub async fn deliver(&self, mail: &Mail) -> Result<String, SendMailError> {
        let message = mail.to_message()?;
        let mut connection = self.connection().await?;
        let envelope = message.envelope();
        // An error drops the connection. So an answer that is late is not taken for that of another mail.
        let conversation = &mut connection;
        self.answer(conversation.command(MailFrom::new(envelope.from().cloned(), Vec::new()))).await?;
        for recipient in envelope.to() {
            self.answer(conversation.command(Rcpt::new(recipient.clone(), Vec::new()))).await?;
        }
        self.answer(conversation.command(Data)).await?;
        let taken = self.answer(conversation.message(&message.formatted())).await?;
        self.keep(connection);
        Ok(said(&taken))
    }

    /// One that was kept and is still good, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, SendMailError> {
        while let Some(Kept { mut connection, since }) = self.take() {
            if since.elapsed() < KEPT_FOR
                && tokio::time::timeout(self.answer_within, connection.test_connected()).await == Ok(true)
            {
                return Ok(connection);
            }
        }
        self.answer(self.connect()).await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let SmtpAddress { host, port, encryption, credentials } = self.address.as_ref();
        let hello = ClientId::default();
        let tls = || TlsParameters::new(host.clone());
        let wrapper = (*encryption == Encryption::FromTheStart).then(tls).transpose()?;
        let server = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.answer_within), &hello, wrapper, None)
                .await?;
        let upgrades = match encryption {
            Encryption::Required => true,
            Encryption::Offered => connection.can_starttls(),
            Encryption::None | Encryption::FromTheStart => false,
        };
        if upgrades {
            connection.starttls(tls()?, &hello).await?;
        }
        if let Some(credentials) = credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// Waits for an answer, and judges it.
    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, SendMailError> {
        match tokio::time::timeout(self.answer_within, answer).await {
            Ok(answer) => answer.map_err(|error| judge(&error)),
            Err(_) => {
                let text = format!("{} did not answer within {:?}", self.address.host, self.answer_within);
                Err(SendMailError::Unavailable(text))
            }
        }
    }

    fn take(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        if kept.len() < KEPT_MAX {
            kept.push(Kept { connection, since: Instant::now() });
        }
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SmtpMailer").field(&self.address).finish()
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendMailError>> {
        async move { self.deliver(mail).await.map(drop) }.boxed()
    }
}

/// An answer as the server wrote it, in one line.
fn said(response: &Response) -> String {
    let text: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), text.join(" "))
}

/// 55x speaks of this mail: mailbox unknown, not allowed, too large, content refused. Any other 5xx (wrong password, TLS
/// wanted, unknown command) speaks of the settings, which a person can mend before the attempts are used up.
fn judge(error: &SmtpError) -> SendMailError {
    match error.status().map(u16::from) {
        Some(550..=559) => SendMailError::Refused(error.to_string()),
        _ => SendMailError::Unavailable(error.to_string()),
    }
}
