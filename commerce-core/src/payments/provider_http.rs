//! HTTP to payment providers. Every request has a timeout, and what may be repeated is repeated a few times. A provider
//! that does not answer is soon left alone (see `silence.rs`).

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::{Client, Request};
use serde::de::DeserializeOwned;

use super::silence::Silence;
use super::{ProviderError, ProviderName};

/// The longest time for one request, from the connection to the last byte of the answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The pauses before a request is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(900)];

/// A provider that asks for a longer pause is asked again another time.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// After this time no request is repeated, so that an answer comes within the patience of most callers: after one
/// timeout there is one more try.
const REPEAT_WITHIN: Duration = Duration::from_secs(7);

/// The client for a provider cannot be made with these settings.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProviderSetupError(pub(super) String);

/// Whether a request may be sent again if its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It has a key, or it changes nothing: twice has the effect of once.
    Allowed,
    /// Twice could have two effects.
    Never,
}

/// An answer that says what was done.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Answer {
    /// The body, if it is JSON of this form.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// An answer that leaves open what was done, or that asks to come back later.
#[derive(Debug)]
struct NoAnswer {
    status: StatusCode,
    /// It is the kept answer to an earlier request with the same key.
    is_kept: bool,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            StatusCode::UNAUTHORIZED => f.write_str("it does not accept the API key (HTTP 401)"),
            status => write!(f, "it answered HTTP {}", status.as_u16()),
        }
    }
}

impl Error for NoAnswer {}

/// Whether the provider keeps this error of its own as the answer to the request's key. The first request with the key
/// has ended, whatever it did, and the key will never get another answer.
pub(super) fn is_kept(error: &ProviderError) -> bool {
    let ProviderError::Unreachable { cause, .. } = error else { return false };
    cause.downcast_ref::<NoAnswer>().is_some_and(|answer| answer.is_kept)
}

/// The header of an answer that was kept.
const KEPT: &str = "idempotent-replayed";

/// Sends requests to one provider.
#[derive(Debug, Clone)]
pub(super) struct ProviderHttp {
    provider: ProviderName,
    client: Client,
    silence: Silence,
}

impl ProviderHttp {
    /// `timeout` limits one request.
    pub fn new(provider: ProviderName, timeout: Duration) -> Result<Self, ProviderSetupError> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .map_err(|error| ProviderSetupError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            // An API does not redirect, and its key goes to no other server.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("commerce/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ProviderSetupError(error.to_string()))?;
        let silence = Silence::new(provider.clone(), timeout);
        Ok(Self { provider, client, silence })
    }

    /// For building requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The answer: success, or a refusal (4xx). Everything else is no answer: a broken connection, a timeout, 5xx,
    /// 409 (the same request is being worked on), 429 (too many requests), and 401. After 401 nothing was done, but
    /// the same request is answered as soon as the key is right, so nothing must end because of it.
    pub async fn send(&self, request: Request, repeat: Repeat) -> Result<Answer, ProviderError> {
        let begun = Instant::now();
        let mut pauses = PAUSES.iter().copied();
        loop {
            // All bodies here are in memory, and such a request can be cloned.
            let Some(this) = request.try_clone() else {
                return Err(ProviderError::refused(self.provider.clone(), "the request cannot be repeated"));
            };
            let (error, pause) = match self.send_once(this).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = match (repeat, pause, pauses.next()) {
                (Repeat::Allowed, Some(pause), Some(usual)) => pause.max(usual),
                _ => return Err(error),
            };
            if pause > LONGEST_PAUSE || begun.elapsed() + pause > REPEAT_WITHIN {
                return Err(error);
            }
            tracing::debug!(provider = %self.provider, %error, ?pause, "a request to a provider is repeated");
            tokio::time::sleep(pause).await;
        }
    }

    /// With an error comes the pause after which the request may be repeated, if that makes sense.
    async fn send_once(&self, request: Request) -> Result<Answer, (ProviderError, Option<Duration>)> {
        let permission = self.silence.permission(Instant::now());
        let permission =
            permission.map_err(|cause| (ProviderError::unreachable(self.provider.clone(), cause), None))?;
        let received = async {
            let response = self.client.execute(request).await?;
            let (status, pause) = (response.status(), pause_asked_for(response.headers()));
            let is_kept = status.is_server_error() && response.headers().contains_key(KEPT);
            Ok::<_, reqwest::Error>((status, pause, is_kept, response.bytes().await?))
        };
        let (status, pause, is_kept, body) = match received.await {
            Ok(received) => {
                permission.answered(Instant::now());
                received
            }
            Err(error) => {
                permission.unanswered(Instant::now());
                // An address can have a key in it.
                let error = ProviderError::unreachable(self.provider.clone(), error.without_url());
                return Err((error, Some(Duration::ZERO)));
            }
        };
        let is_answer = status.is_success()
            || status.is_client_error()
                && !matches!(
                    status,
                    StatusCode::UNAUTHORIZED | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
                );
        if is_answer {
            return Ok(Answer { status, body });
        }
        let pause = Some(pause).filter(|_| status != StatusCode::UNAUTHORIZED && !is_kept);
        Err((ProviderError::unreachable(self.provider.clone(), NoAnswer { status, is_kept }), pause))
    }
}

/// `Retry-After` in seconds. Providers send no dates.
fn pause_asked_for(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}
