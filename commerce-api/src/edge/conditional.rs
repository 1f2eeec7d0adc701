//! `If-None-Match` on reads, `If-Match` on changes.

use poem::http::{Method, StatusCode, header};
use poem::{Request, RequestBody, Response, Result};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

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

    /// Replaces an answer that the client already has by 304.
    pub fn apply(&self, response: &mut Response) {
        let Some(known) = &self.known_tags else { return };
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let Some(tag) = tag else { return };
        if response.status() == StatusCode::OK && matches_any(known, tag) {
            response.set_status(StatusCode::NOT_MODIFIED);
            response.set_body(());
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
    }
}

/// The weak comparison of RFC 9110.
fn matches_any(list: &str, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*" || list.split(',').any(|known| strong(known) == strong(tag))
}

/// The header `If-Match`: change the resource only if it still has the version that the caller saw.
/// Declare it as `#[oai(name = "If-Match")] expected: IfMatch`.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(Option<i32>);

impl IfMatch {
    /// The version that the resource must have, if the caller asked for one.
    pub fn version(self) -> Option<i32> {
        self.0
    }
}

impl<'a> ApiExtractor<'a> for IfMatch {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = String;
    type ParamRawType = String;

    fn register(registry: &mut Registry) {
        <String as Type>::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(String::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<String>,
    ) -> Result<Self> {
        // One that is not ASCII is a condition too, and one that nothing meets.
        let condition = request.headers().get(header::IF_MATCH);
        let condition = condition.map(|tag| tag.to_str().unwrap_or_default().trim());
        let Some(tag) = condition.filter(|tag| *tag != "*") else { return Ok(Self(None)) };
        // What follows a hyphen tells apart what is shown beside the version, such as stock.
        let tag = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let version = tag.and_then(|tag| tag.split('-').next()?.parse().ok());
        // A tag that we never give out cannot match; that is told where the version is looked at, after path and body.
        const NEVER: i32 = i32::MIN;
        Ok(Self(Some(version.unwrap_or(NEVER))))
    }
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
