//! `If-None-Match` on reads: 304 if the client already has the answer.

use poem::http::{Method, StatusCode, header};
use poem::{Request, Response};

/// What the client already has.
pub struct Conditions {
    known_tags: Option<String>,
}

impl Conditions {
    pub fn of(request: &Request) -> Self {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let known_tags = request.header(header::IF_NONE_MATCH).filter(|_| is_read).map(str::to_owned);
        Self { known_tags }
    }

    /// Replaces an answer that the client already has with 304.
    pub fn apply(&self, response: &mut Response) {
        let Some(known) = &self.known_tags else { return };
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let Some(tag) = tag else { return };
        if response.status() == StatusCode::OK && matches_any(known, tag) {
            response.set_status(StatusCode::NOT_MODIFIED);
            response.set_body(());
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_ENCODING);
        }
    }
}

/// The weak comparison of RFC 9110.
fn matches_any(list: &str, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*" || list.split(',').any(|known| strong(known) == strong(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_in_a_list_weak_or_strong() {
        assert!(matches_any(r#""1", W/"2""#, r#""2""#) && matches_any("*", r#""2""#));
        assert!(!matches_any(r#""1""#, r#""11""#));
    }
}
