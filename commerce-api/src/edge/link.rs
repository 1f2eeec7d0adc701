//! `Link: <…>; rel="next"` of a page of a list (RFC 8288).

use poem::Response;
use poem::http::{HeaderValue, header};

use crate::http::answer::NextCursor;

/// Adds the URL of the next page, which is this request's URL with another cursor.
pub fn add_next(response: &mut Response, path: &str, query: Option<&str>) {
    let Some(NextCursor(cursor)) = response.data::<NextCursor>() else { return };
    let target = next_page(path, query.unwrap_or_default(), cursor);
    if let Ok(value) = HeaderValue::from_str(&format!("<{target}>; rel=\"next\"")) {
        response.headers_mut().append(header::LINK, value);
    }
}

/// A cursor is URL-safe base64: it needs no escaping.
fn next_page(path: &str, query: &str, cursor: &str) -> String {
    let mut parts: Vec<&str> =
        query.split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor=")).collect();
    let next = format!("cursor={cursor}");
    parts.push(&next);
    format!("{path}?{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stay_and_the_cursor_moves_on() {
        assert_eq!(
            next_page("/v1/products", "q=a%20b&cursor=old&limit=5", "new"),
            "/v1/products?q=a%20b&limit=5&cursor=new"
        );
        assert_eq!(next_page("/v1/products", "", "new"), "/v1/products?cursor=new");
    }
}
