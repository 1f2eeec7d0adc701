//! Compresses answers if the client accepts gzip. Requests are never decompressed, because a few bytes of a
//! request could expand to gigabytes.

use async_compression::Level;
use async_compression::tokio::bufread::GzipEncoder;
use poem::http::{HeaderMap, HeaderValue, header};
use poem::{Body, Request, Response};
use tokio::io::BufReader;

use crate::http::problem::{Code, Problem};

/// Types that become smaller. Images are already compressed, and a range counts the bytes that are stored.
const COMPRESSIBLE: [&str; 4] =
    ["application/json", "application/problem+json", "application/yaml", "image/svg+xml"];

/// Refuses a body that would have to be decompressed (RFC 9110, 15.5.16).
pub fn fault(request: &Request) -> Option<Problem> {
    let codings = request.headers().get_all(header::CONTENT_ENCODING);
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    (!codings.iter().all(is_plain)).then(|| {
        let detail = "The body is compressed; send it as it is, without the header Content-Encoding.";
        Problem::new(Code::UnsupportedMediaType, detail)
            .header(header::ACCEPT_ENCODING, "identity".to_owned())
    })
}

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = listed.flat_map(|value| value.split(',')).map(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        (name.trim(), weight.is_some_and(|weight| weight > 0.0))
    });
    codings.any(|(name, is_taken)| is_taken && (name.eq_ignore_ascii_case("gzip") || name == "*"))
}

/// Compresses the answer, unless it is small or a part of a larger one.
pub fn apply(response: &mut Response, takes_gzip: bool) {
    let content_type = response.content_type().unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.starts_with("text/") && !COMPRESSIBLE.contains(&kind) {
        return;
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes_gzip || headers.contains_key(header::CONTENT_RANGE) {
        return;
    }
    let body = response.take_body();
    if body.is_empty() {
        return;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(tag) = headers.get(header::ETAG).and_then(tag_of_gzip) {
        headers.insert(header::ETAG, tag);
    }
    let plain = BufReader::new(body.into_async_read());
    response.set_body(Body::from_async_read(GzipEncoder::with_quality(plain, Level::Fastest)));
}

/// Other bytes need another strong tag (RFC 9110, 8.8.3.3). Conditions on changes read the version, which
/// comes first in the tag.
fn tag_of_gzip(plain: &HeaderValue) -> Option<HeaderValue> {
    let tag = plain.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::from_str(&format!("{tag}-gzip\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_as_it_is_offered() {
        for (value, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("br", false),
            ("gzip;q=x", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(takes_gzip(&headers), expected, "{value:?}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
