//! The header `Idempotency-Key`: a request that is sent twice takes effect once.

use commerce_core::idempotency::{IdempotencyError, IdempotentRequest};
use poem::Request;

use crate::http::auth::Credential;
use crate::http::header_parameter::header_parameter;
use crate::http::problem::{Code, Fault, Problem};

const HEADER: &str = "Idempotency-Key";
const CHARACTERS_MAX: usize = 255;

/// The key, if the client sent one. Declare it as `#[oai(name = "Idempotency-Key")] key: IdempotencyKey`.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<String>);

/// The key of an operation that requires one: checkout, pay, refund.
#[derive(Debug, Clone)]
pub struct RequiredIdempotencyKey(String);

impl IdempotencyKey {
    /// Identifies the request. The same request again gets the stored answer. `body` is the raw body.
    pub fn request(&self, caller: &impl Credential, body: &[u8]) -> Option<IdempotentRequest> {
        self.0.as_deref().map(|key| identify(key, caller, body))
    }
}

impl RequiredIdempotencyKey {
    /// As [`IdempotencyKey::request`].
    pub fn request(&self, caller: &impl Credential, body: &[u8]) -> IdempotentRequest {
        identify(&self.0, caller, body)
    }
}

fn identify(key: &str, caller: &impl Credential, body: &[u8]) -> IdempotentRequest {
    let call = caller.call();
    IdempotentRequest::new(&caller.identity(), call.method.as_str(), &call.path, key, body)
}

fn read(request: &Request) -> Result<Option<String>, Problem> {
    let invalid = |message: &str| {
        Problem::new(Code::InvalidParameter, format!("The {HEADER} {message}."))
            .with_errors(vec![Fault::parameter(HEADER, message)])
    };
    let mut values = request.headers().get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("must be sent only once"));
    }
    let text = value.to_str().map_err(|_| invalid("must be ASCII text"))?.trim();
    // The draft standard uses a quoted string. Most clients send the key without quotes.
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    match key.len() {
        0 => Err(invalid("must not be empty")),
        1..=CHARACTERS_MAX => Ok(Some(key.to_owned())),
        _ => Err(invalid("must have at most 255 characters")),
    }
}

header_parameter!(IdempotencyKey, required = false, |request| Ok(Self(read(request)?)));
header_parameter!(RequiredIdempotencyKey, required = true, |request| {
    let missing = || Problem::new(Code::IdempotencyKeyRequired, Code::IdempotencyKeyRequired.meaning());
    Ok(Self(read(request)?.ok_or_else(missing)?))
});

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::InUse => Self {
                retry_after: Some(std::time::Duration::from_secs(1)),
                ..Self::new(Code::IdempotencyKeyInUse, Code::IdempotencyKeyInUse.meaning())
            },
            IdempotencyError::Reused => {
                Self::new(Code::IdempotencyKeyReused, Code::IdempotencyKeyReused.meaning())
            }
            IdempotencyError::Database(error) => error.into(),
        }
    }
}
