//! A body that is read as it was sent, because a signature covers its bytes.

use bytes::Bytes;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::json;

use crate::http::body;

/// The bytes of a body with JSON.
pub struct RawBody(pub Bytes);

/// The largest webhook that is read, in bytes. Providers send a few kilobytes.
const BYTES_MAX: usize = 256 * 1024;

impl<'a> ApiExtractor<'a> for RawBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_registry: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let example = json!({ "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "type": "checkout.session.completed" });
        let schema = MetaSchema { example: Some(example), ..MetaSchema::new("object") };
        let schema = MetaSchemaRef::Inline(Box::new(schema));
        let content = vec![MetaMediaType { content_type: "application/json", schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        _request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self(body::read(body, BYTES_MAX).await?))
    }
}
