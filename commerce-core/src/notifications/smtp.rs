//! Mails handed to an SMTP server.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lettre::transport::smtp::{Error as SmtpError, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{Mail, Mailer, SendMailError};

/// How long the server may take for its greeting and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECTIONS_MAX: u32 = 16;

/// Sends over SMTP, on connections that are kept and reused.
#[derive(Debug, Clone)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// The address of the SMTP server cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not a usable SMTP address (such as smtps://user:password@mail.example:465): {0}")]
pub struct InvalidSmtpUrl(SmtpError);

impl SmtpMailer {
    /// `url` is `smtps://user:password@host:port` for TLS from the start, `smtp://…?tls=required` for STARTTLS,
    /// `smtp://…?tls=opportunistic` for STARTTLS where the server offers it, or plain `smtp://…`. Connects at first use.
    pub fn new(url: &str) -> Result<Self, InvalidSmtpUrl> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(InvalidSmtpUrl)?
            .timeout(Some(ANSWER_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS_MAX))
            .build();
        Ok(Self { transport })
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendMailError>> {
        async move {
            let sent = self.transport.send(mail.to_message()?).await;
            sent.map(|_| ()).map_err(|error| judge(&error))
        }
        .boxed()
    }
}

/// 55x speaks of this mail: mailbox unknown, not allowed, too large, content refused. Any other 5xx (wrong password, TLS
/// wanted, unknown command) speaks of the settings, which a person can mend before the attempts are used up.
fn judge(error: &SmtpError) -> SendMailError {
    match error.status().map(u16::from) {
        Some(550..=559) => SendMailError::Refused(error.to_string()),
        _ => SendMailError::Unavailable(error.to_string()),
    }
}
