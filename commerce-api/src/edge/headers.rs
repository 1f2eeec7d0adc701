//! Security and caching headers.

use poem::Response;
use poem::http::{HeaderName, HeaderValue, header};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub fn add(response: &mut Response, path: &str) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // No page of this server needs the visitor's camera, microphone or place.
    let nothing = HeaderValue::from_static("camera=(), geolocation=(), microphone=()");
    headers.insert(PERMISSIONS_POLICY, nothing);
    // Shops on other origins show the images. Everything else they read only as CORS allows it.
    let is_image = path.starts_with("/media/") || path.starts_with("/demo-images/");
    let readers = if is_image { "cross-origin" } else { "same-origin" };
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static(readers));
    // Browsers ignore it over plain HTTP (RFC 6797).
    headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    // Swagger UI has its script and style inside the page.
    let policy = if path == "/docs" || path.starts_with("/docs/") {
        "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
         frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        let cache = if is_personal(path) { "no-store" } else { "private, no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    }
}

/// Whether the answer is about a person, or holds a token. Such an answer must not be stored (OWASP ASVS 4.0,
/// 8.2.1). Others may be stored, but the ETag is checked each time.
fn is_personal(path: &str) -> bool {
    const PUBLIC: [&str; 3] = ["products", "categories", "category-tree"];
    let resource = path.strip_prefix("/v1/").and_then(|below| below.split('/').next());
    resource.is_some_and(|resource| !PUBLIC.contains(&resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_a_person_is_not_stored() {
        let personal =
            ["/v1/me", "/v1/orders/1", "/v1/cart", "/v1/payments", "/v1/auth/login", "/v1/admin/users"];
        assert!(personal.iter().all(|path| is_personal(path)));
        let public =
            ["/v1/products", "/v1/products/search", "/v1/categories/mugs", "/v1/category-tree", "/docs"];
        assert!(!public.iter().any(|path| is_personal(path)));
    }
}
