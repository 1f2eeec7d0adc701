//! Errors, in the one form that this API uses: RFC 9457 `application/problem+json`.
//!
//! A use case of commerce-core fails with its own error enum. `impl Refusal for ThatError` in the resource's
//! file lists the possible codes, which go into the spec, and turns each variant into a [`Problem`]. A
//! handler returns `Result<_, Refused<ThatError>>`, and `?` does the rest.

use std::marker::PhantomData;
use std::time::Duration;

use commerce_core::db::{PoolError, Retryable, TransactionError, sqlstate};
use commerce_core::error::FieldError;
use commerce_core::page::InvalidCursor;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

pub use crate::http::problem_code::Code;

/// One error in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[oai(skip_serializing_if_is_none, rename = "ProblemItem")]
pub struct Fault {
    /// JSON Pointer (RFC 6901) to the field of the body. The empty pointer is the body itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The name of the path, query or header parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The line of an uploaded file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column of an uploaded file, by its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    pub message: String,
}

impl Fault {
    /// An error in the field of the body at this JSON Pointer, such as `/items/0/quantity`.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { pointer: Some(pointer.into()), parameter: None, line: None, column: None, message }
    }

    /// An error in a path, query or header parameter.
    pub fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { pointer: None, parameter: Some(name.into()), line: None, column: None, message }
    }

    /// An error at a place in an uploaded file.
    pub fn in_file(line: u64, column: Option<String>, message: impl Into<String>) -> Self {
        Self { pointer: None, parameter: None, line: Some(line), column, message: message.into() }
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self::at(error.pointer, error.message)
    }
}

/// A problem before it is sent: [`crate::edge`] adds the path and the request id.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub code: Code,
    /// A text for people about this occurrence.
    pub detail: String,
    pub errors: Vec<Fault>,
    /// More facts that a program can use, such as the lines that are short of stock.
    pub facts: serde_json::Map<String, serde_json::Value>,
    pub retry_after: Option<Duration>,
    /// Headers of the response, such as `Allow` for 405 and `Location` for 301.
    pub headers: Vec<(HeaderName, String)>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into().trim().to_owned(),
            errors: Vec::new(),
            facts: serde_json::Map::new(),
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// The resource is now at another address.
    pub fn moved(path: String) -> Self {
        let detail = format!("The resource is now at {path}.");
        Self::new(Code::Moved, detail).header(header::LOCATION, path)
    }

    /// The body could be parsed, but some of its fields are invalid.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.message.clone(),
            more => format!("{} fields are invalid.", more.len()),
        };
        Self { errors, ..Self::new(Code::ValidationFailed, detail) }
    }

    /// The resource does not exist, or it belongs to somebody else.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// A fault of the server. The cause is logged, and the client does not see it.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside");
        Self::new(Code::Internal, "The server failed. Its log has the cause under the request id.")
    }

    /// The server cannot answer now, but probably can soon.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a request was refused");
        Self::crowded()
    }

    /// The same, without a line in the log: a crowd of readers must not fill it. A metric counts them.
    pub fn crowded() -> Self {
        let detail = "The server is overloaded, or a part of it is down. Try again shortly.";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Code::Unavailable, detail) }
    }

    /// Another transaction held a row for longer than a request waits.
    fn locked(cause: impl std::fmt::Display) -> Self {
        let detail = "Another change of the same data, such as an import of products, is taking long. Nothing was \
                      changed. Try again shortly.";
        Self {
            detail: detail.to_owned(),
            retry_after: Some(Duration::from_secs(5)),
            ..Self::unavailable(cause)
        }
    }

    /// Adds a fact beside the standard members.
    pub fn with(mut self, name: &str, fact: impl Serialize) -> Self {
        self.facts.insert(name.to_owned(), serde_json::to_value(fact).unwrap_or_default());
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }

    /// The document as it is sent.
    pub fn document(&self, instance: &str, request_id: &str) -> serde_json::Value {
        let mut document = self.facts.clone();
        let standard = ProblemDocument {
            r#type: format!("/problems/{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        };
        if let Ok(serde_json::Value::Object(standard)) = serde_json::to_value(&standard) {
            document.extend(standard);
        }
        serde_json::Value::Object(document)
    }

    /// The complete response. [`crate::edge`] replaces a body without path and request id.
    pub fn render(&self, instance: &str, request_id: &str) -> Response {
        let mut response = Response::builder()
            .status(self.code.status())
            .content_type("application/problem+json")
            .body(self.document(instance, request_id).to_string());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after.map(|wait| wait.as_secs().max(1)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A problem document (RFC 9457). Some codes have more members, which the description of the code names.
#[derive(Debug, Clone, Serialize, Object)]
#[oai(rename = "Problem", example)]
pub struct ProblemDocument {
    /// A URL that explains the code.
    pub r#type: String,
    /// A short title for the code, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// A stable code for programs.
    pub code: Code,
    /// The same as in the header `X-Request-Id`.
    pub request_id: String,
    /// One entry for each error in the request.
    pub errors: Vec<Fault>,
}

impl poem_openapi::types::Example for ProblemDocument {
    fn example() -> Self {
        Self {
            r#type: "/problems/validation_failed".to_owned(),
            title: Code::ValidationFailed.title().to_owned(),
            status: 422,
            detail: "must be at least 1".to_owned(),
            instance: "/v1/cart/items".to_owned(),
            code: Code::ValidationFailed,
            request_id: "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e".to_owned(),
            errors: vec![Fault::at("/quantity", "must be at least 1")],
        }
    }
}

/// The error of a use case, as this API reports it.
pub trait Refusal: Send + Sync + 'static {
    /// Every code that [`Refusal::problem`] can return, apart from `internal` and `unavailable`. They go into
    /// the spec.
    const CODES: &'static [Code];

    fn problem(self) -> Problem;
}

/// The only error of a read by id: the resource does not exist, or it belongs to somebody else.
#[derive(Debug)]
pub struct Missing(pub &'static str);

impl Refusal for Missing {
    const CODES: &'static [Code] = &[Code::NotFound];

    fn problem(self) -> Problem {
        Problem::not_found(self.0)
    }
}

/// The errors of a read by slug: the resource does not exist, or it has a new slug.
#[derive(Debug)]
pub struct MissingOrMoved(pub &'static str);

impl Refusal for MissingOrMoved {
    const CODES: &'static [Code] = &[Code::NotFound, Code::Moved];

    fn problem(self) -> Problem {
        Problem::not_found(self.0)
    }
}

/// The problem that a use case's error became. `E` stays in the type, so that the spec can list its codes.
#[derive(Debug)]
pub struct Refused<E>(pub Problem, PhantomData<fn() -> E>);

impl<E: Refusal> From<E> for Refused<E> {
    fn from(error: E) -> Self {
        Self(error.problem(), PhantomData)
    }
}

impl<E> From<Problem> for Refused<E> {
    fn from(problem: Problem) -> Self {
        Self(problem, PhantomData)
    }
}

impl<E> From<QueryError> for Refused<E> {
    fn from(error: QueryError) -> Self {
        Problem::from(error).into()
    }
}

impl<E: Refusal> From<TransactionError<E>> for Refused<E> {
    fn from(error: TransactionError<E>) -> Self {
        match error {
            TransactionError::NoConnection(error) => Problem::from(error).into(),
            TransactionError::RolledBack(error) => error.into(),
        }
    }
}

impl From<InvalidCursor> for Problem {
    fn from(error: InvalidCursor) -> Self {
        Problem::new(Code::InvalidCursor, error.to_string())
            .with_errors(vec![Fault::parameter("cursor", error.to_string())])
    }
}

/// The error of a use case that can fail only because of the database.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OnlyDatabase(#[from] pub QueryError);

impl Retryable for OnlyDatabase {
    fn is_retryable(&self) -> bool {
        self.0.is_retryable()
    }
}

impl Refusal for OnlyDatabase {
    const CODES: &'static [Code] = &[];

    fn problem(self) -> Problem {
        self.0.into()
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        Problem::unavailable(format_args!("no database connection is available: {error}"))
    }
}

impl From<QueryError> for Problem {
    /// A statement that waited too long for a lock, or a database that is shutting down, is worth another
    /// attempt.
    fn from(error: QueryError) -> Self {
        let passing = match sqlstate::sqlstate(&error) {
            Some(sqlstate::LOCK_NOT_AVAILABLE) => return Problem::locked(error),
            Some(
                sqlstate::QUERY_CANCELED | sqlstate::DEADLOCK_DETECTED | sqlstate::SERIALIZATION_FAILURE,
            ) => true,
            Some(code) if sqlstate::UNAVAILABLE.contains(&code) => true,
            _ => match &error {
                QueryError::DatabaseError(
                    DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::ReadOnlyTransaction,
                    _,
                ) => true,
                // The words of tokio-postgres, whatever the server speaks.
                QueryError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, info) => {
                    let lost = ["connection closed", "error communicating with the server"];
                    lost.iter().any(|lost| info.message().starts_with(lost))
                }
                _ => false,
            },
        };
        if passing { Problem::unavailable(error) } else { Problem::internal(error) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render("", "");
        response.set_data(self);
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        // `poem::Error` keeps the data that is set on itself, and drops the data of its response.
        let mut error = poem::Error::from_response(problem.render("", ""));
        error.set_data(problem);
        error
    }
}

impl<E> From<Refused<E>> for poem::Error {
    fn from(refused: Refused<E>) -> Self {
        refused.0.into()
    }
}

/// One response for each status, whose schema lists the codes. [`crate::http::openapi`] later writes their
/// descriptions.
fn declare(codes: &[Code]) -> MetaResponses {
    let mut statuses: Vec<u16> = codes.iter().map(|code| code.status().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let response = |status: u16| {
        let of_status = codes.iter().filter(|code| code.status().as_u16() == status);
        let schema = MetaSchema {
            enum_items: of_status.map(|code| code.as_str().into()).collect(),
            ..MetaSchema::new("string")
        };
        MetaResponse {
            description: "",
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType {
                content_type: "application/problem+json",
                schema: MetaSchemaRef::Inline(Box::new(schema)),
            }],
            headers: Vec::new(),
        }
    };
    MetaResponses { responses: statuses.into_iter().map(response).collect() }
}

fn register_document(registry: &mut Registry) {
    use poem_openapi::types::Type as _;
    ProblemDocument::register(registry);
}

impl<E: Refusal> ApiResponse for Refused<E> {
    fn meta() -> MetaResponses {
        declare(E::CODES)
    }

    fn register(registry: &mut Registry) {
        register_document(registry);
    }
}

/// For operations that have no errors of their own.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        declare(&[])
    }

    fn register(registry: &mut Registry) {
        register_document(registry);
    }
}
