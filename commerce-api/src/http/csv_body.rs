//! Bodies that are a CSV file.

use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::http::body;
use crate::http::spool::Spooled;

/// A body of `text/csv`, of at most so many MiB.
pub struct Csv<const MEBIBYTES_MAX: u64>(pub Spooled);

impl<'a, const MEBIBYTES_MAX: u64> ApiExtractor<'a> for Csv<MEBIBYTES_MAX> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_registry: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "text/csv", schema: String::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        // Browsers on Windows call a file of Excel's kind by Excel's name.
        let is_csv = |given: &str| {
            let kind = given.split(';').next().unwrap_or_default().trim();
            ["text/csv", "application/vnd.ms-excel"].contains(&kind)
        };
        body::check_content_type(request, "text/csv", is_csv)?;
        Ok(Self(Spooled::take(body, MEBIBYTES_MAX * 1024 * 1024).await?))
    }
}
