//! Which web pages of other origins may call this API.

use std::str::FromStr;

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

/// `COMMERCE_CORS_ORIGINS`: none, some, or `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    #[default]
    None,
    Any,
    These(Vec<String>),
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let origins: Vec<String> = list
            .split(',')
            .map(|origin| origin.trim().to_owned())
            .filter(|origin| !origin.is_empty())
            .collect();
        match origins.as_slice() {
            [] => Ok(Self::None),
            [any] if any == "*" => Ok(Self::Any),
            _ => match origins.iter().find(|origin| !is_origin(origin)) {
                Some(wrong) => Err(format!("{wrong:?} is not an origin such as https://shop.example")),
                None => Ok(Self::These(origins)),
            },
        }
    }
}

impl AllowedOrigins {
    /// The origins that are listed one by one.
    pub fn listed(&self) -> &[String] {
        match self {
            Self::These(origins) => origins,
            Self::None | Self::Any => &[],
        }
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '*', ' ']))
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Cart-Token, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, traceparent",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
);

/// The answer to the browser's question about one request.
pub struct CheckedOrigin {
    allowed: Option<HeaderValue>,
    /// Whether pages may have the browser send its cookies. With `*` they may not.
    credentials: bool,
    preflight: bool,
}

impl AllowedOrigins {
    /// An origin that is not allowed gets no headers, so its browser withholds the answer from the page.
    pub fn check(&self, request: &Request) -> CheckedOrigin {
        let headers: &HeaderMap = request.headers();
        let origin = headers.get(header::ORIGIN);
        let allowed = match self {
            Self::None => None,
            Self::Any => origin.map(|_| HeaderValue::from_static("*")),
            Self::These(origins) => origin
                .filter(|origin| origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()))
                .cloned(),
        };
        let preflight = *request.method() == Method::OPTIONS
            && origin.is_some()
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        CheckedOrigin { allowed, credentials: matches!(self, Self::These(_)), preflight }
    }
}

impl CheckedOrigin {
    /// The complete answer to a preflight request.
    pub fn preflight(&self) -> Option<Response> {
        self.preflight.then(|| {
            let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
            if self.allowed.is_some() {
                let headers = response.headers_mut();
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            }
            response
        })
    }

    pub fn apply(self, response: &mut Response) {
        let headers = response.headers_mut();
        if self.credentials {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allowed {
            if self.credentials {
                let credentials = HeaderValue::from_static("true");
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
            }
            let expose: HeaderName = header::ACCESS_CONTROL_EXPOSE_HEADERS;
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(expose, EXPOSED_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_origins_is_read_and_mistakes_are_named() {
        assert_eq!("".parse(), Ok(AllowedOrigins::None));
        assert_eq!("*".parse(), Ok(AllowedOrigins::Any));
        let both = vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!("https://a.example, http://localhost:3000".parse(), Ok(AllowedOrigins::These(both)));
        assert!("https://a.example/".parse::<AllowedOrigins>().unwrap_err().contains("https://a.example/"));
        assert!("a.example".parse::<AllowedOrigins>().is_err());
    }
}
