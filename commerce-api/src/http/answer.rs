//! The answer of a successful operation: a status, a JSON body and headers.

use std::marker::PhantomData;

use commerce_core::idempotency::StoredAnswer;
use commerce_core::page::Page;
use data_encoding::HEXLOWER;
use poem::http::{HeaderName, HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{Any, Example, IsObjectType, ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use sha2::{Digest as _, Sha256};

/// 200 with a body.
pub type Okay<T> = Answer<200, T>;
/// 201, with the created resource as the body.
pub type Created<T> = Answer<201, T>;
/// 202: the request was accepted. The answer is the same whether or not anything follows.
pub type Accepted<T> = Answer<202, T>;
/// 204: success without a body.
pub type NoContent = Answer<204, Nothing>;

/// The body of [`NoContent`].
pub type Nothing = Any<()>;

/// The result of an effect that has no body.
pub const NOTHING: Nothing = Any(());

/// A body and its headers, made from the result of a use case: `Reply::new(body).version(3)`, or only the
/// body.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    body: T,
    headers: Vec<(String, String)>,
}

impl<T> Reply<T> {
    pub fn new(body: T) -> Self {
        Self { body, headers: Vec::new() }
    }

    /// The `ETag`, which `If-Match` and `If-None-Match` compare.
    pub fn version(self, version: i32) -> Self {
        self.etag(version.to_string())
    }

    /// The `ETag` of a body that can change without its version, as when stock changes. It consists of the
    /// version, which `If-Match` compares, and a digest of the body.
    pub fn version_as_shown(self, version: i32) -> Self
    where
        T: ToJSON,
    {
        let digest = digest::<8>(&self.body.to_json_string());
        self.etag(format!("{version}-{digest}"))
    }

    /// Any other `ETag`.
    pub fn etag(mut self, tag: impl std::fmt::Display) -> Self {
        self.headers.push(("ETag".to_owned(), format!("\"{tag}\"")));
        self
    }

    /// Sets or clears a cookie in the browser.
    pub fn set_cookie(mut self, cookie: String) -> Self {
        self.headers.push(("Set-Cookie".to_owned(), cookie));
        self
    }

    /// Where the created resource is, such as `/v1/orders/…`.
    pub fn location(mut self, path: impl Into<String>) -> Self {
        self.headers.push(("Location".to_owned(), path.into()));
        self
    }
}

/// The first bytes of the body's SHA-256, in hexadecimal.
fn digest<const BYTES: usize>(body: &str) -> String {
    HEXLOWER.encode(Sha256::digest(body).get(..BYTES).unwrap_or_default())
}

impl<T> From<T> for Reply<T> {
    fn from(body: T) -> Self {
        Self::new(body)
    }
}

/// A complete successful answer. An idempotent request stores it, so a replay is identical to the byte.
#[derive(Debug)]
pub struct Answer<const STATUS: u16, T> {
    stored: StoredAnswer,
    replayed: bool,
    next_cursor: Option<NextCursor>,
    body: PhantomData<fn() -> T>,
}

/// Tells [`crate::edge`] to add `Link: <…>; rel="next"`.
#[derive(Debug, Clone)]
pub struct NextCursor(pub String);

impl<const STATUS: u16, T: ToJSON> Answer<STATUS, T> {
    pub fn new(reply: impl Into<Reply<T>>) -> Self {
        let Reply { body, headers } = reply.into();
        let body =
            if STATUS == StatusCode::NO_CONTENT.as_u16() { String::new() } else { body.to_json_string() };
        Self::from_stored(StoredAnswer { status: STATUS, headers, body }, false)
    }
}

impl<const STATUS: u16, T> Answer<STATUS, T> {
    /// The answer that was given to the first request with this key.
    pub fn replay(stored: StoredAnswer) -> Self {
        Self::from_stored(stored, true)
    }

    fn from_stored(stored: StoredAnswer, replayed: bool) -> Self {
        Self { stored, replayed, next_cursor: None, body: PhantomData }
    }

    /// The answer to store for a replay.
    pub fn stored(&self) -> &StoredAnswer {
        &self.stored
    }

    /// Sets a digest of the body as the `ETag`, for a body that is made of many things and has no version.
    pub fn tagged_as_shown(mut self) -> Self {
        let digest = digest::<12>(&self.stored.body);
        self.stored.headers.push(("ETag".to_owned(), format!("\"{digest}\"")));
        self
    }

    pub fn is_replayed(&self) -> bool {
        self.replayed
    }
}

impl<const STATUS: u16, T> AsRef<StoredAnswer> for Answer<STATUS, T> {
    fn as_ref(&self) -> &StoredAnswer {
        &self.stored
    }
}

impl NoContent {
    pub fn done() -> Self {
        Self::new(NOTHING)
    }
}

impl<const STATUS: u16, T: Send> IntoResponse for Answer<STATUS, T> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.stored.status).unwrap_or(StatusCode::OK);
        let mut response = Response::builder().status(status).body(self.stored.body);
        let headers = response.headers_mut();
        if status != StatusCode::NO_CONTENT {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.stored.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        if self.replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        if let Some(cursor) = self.next_cursor {
            response.set_data(cursor);
        }
        response
    }
}

fn optional_header(name: &str, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

impl<const STATUS: u16, T: ToJSON> ApiResponse for Answer<STATUS, T> {
    fn meta() -> MetaResponses {
        let mut headers = Vec::new();
        if STATUS == 200 || STATUS == 201 {
            headers.push(optional_header(
                "ETag",
                "The version of the resource, or a digest of the answer. Absent if there is neither.",
            ));
        }
        if STATUS == 201 {
            headers.push(optional_header("Location", "The path of the new resource."));
        }
        let json = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
        let content = if STATUS == 204 { Vec::new() } else { vec![json] };
        let response =
            MetaResponse { description: "", status: Some(STATUS), status_range: None, content, headers };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        if STATUS != 204 {
            T::register(registry);
        }
    }
}

/// The default of `limit`: the number of items on a page.
pub fn twenty() -> u16 {
    20
}

/// One page of a list.
#[derive(Debug, Object)]
#[oai(example)]
pub struct List<T: Type + ParseFromJSON + ToJSON + IsObjectType + Example> {
    pub data: Vec<T>,
    /// The `cursor` of the next page. Null on the last page.
    pub next_cursor: Option<String>,
}

impl<T: Type + ParseFromJSON + ToJSON + IsObjectType + Example> Example for List<T> {
    fn example() -> Self {
        Self { data: vec![T::example()], next_cursor: None }
    }
}

impl<T: Type + ParseFromJSON + ToJSON + IsObjectType + Example> Okay<List<T>> {
    /// A page, and the `Link` to the next one.
    pub fn page(page: Page<T>) -> Self {
        let next_cursor = page.next_cursor.clone().map(NextCursor);
        Self { next_cursor, ..Self::new(List { data: page.data, next_cursor: page.next_cursor }) }
    }
}
