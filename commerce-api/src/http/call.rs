//! One request: its id, its path, and what a write needs to know about it.

use poem::Request;
use poem::http::Method;
use uuid::Uuid;

/// The id of a request. It is the client's own if that has 1 to 64 letters, digits and signs of `-_.`, and a
/// new UUIDv7 otherwise. It appears in the answer, in the log and in timelines.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl RequestId {
    pub const HEADER: &'static str = "x-request-id";

    /// The id that a request gets.
    pub fn of(request: &Request) -> Self {
        let is_sane = |id: &&str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let given = request.headers().get(Self::HEADER).and_then(|value| value.to_str().ok()).filter(is_sane);
        Self(given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned))
    }
}

/// The path as the client sent it. The router strips its beginning.
#[derive(Debug, Clone)]
pub struct OriginalPath(pub String);

/// What a write needs to know about the request.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// The path as the client sent it, without the query.
    pub path: String,
    /// The names of the query's parameters.
    pub filters: Vec<String>,
    pub request_id: Option<String>,
}

impl Call {
    pub fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            path: request.data::<OriginalPath>().map(|path| path.0.clone()).unwrap_or_default(),
            filters: names_of(request.uri().query().unwrap_or_default()),
            request_id: request.data::<RequestId>().map(|id| id.0.clone()),
        }
    }
}

fn names_of(query: &str) -> Vec<String> {
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
