//! A JSON body that is checked against its schema in the spec, so that one answer names every wrong field.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use poem::{Request, RequestBody, Result};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::ParseFromJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

use crate::http::problem::{Code, Fault, Problem};
use crate::http::route_table::RouteTable;
use crate::http::schema_check;

/// The largest JSON body, in bytes.
pub const JSON_BYTES_MAX: usize = 1024 * 1024;

/// A parsed JSON body, with the original bytes for the fingerprint of an idempotent request.
#[derive(Debug, Clone)]
pub struct Body<T> {
    pub value: T,
    raw: Bytes,
}

impl<T> Body<T> {
    /// The body as it was sent.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(meta::<T>(true))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        check_content_type(request, "application/json", Json::<T>::check_content_type)?;
        let raw = read(body, JSON_BYTES_MAX).await?;
        let value: Value = serde_json::from_slice(&raw).map_err(malformed)?;
        let none = BTreeMap::new();
        let published = request.data::<Arc<RouteTable>>().map_or(&none, |routes| routes.schemas());
        let faults = schema_check::faults::<T>(&value, published);
        if !faults.is_empty() {
            return Err(Problem::invalid(faults).into());
        }
        let value = T::parse_from_json(Some(value))
            .map_err(|error| Problem::invalid(vec![Fault::at("", error.into_message())]))?;
        Ok(Self { value, raw })
    }
}

/// Like [`Body`], but a request without a body and a content type gives the default.
#[derive(Debug, Clone)]
pub struct OptionalBody<T> {
    pub value: T,
    raw: Bytes,
}

impl<T> OptionalBody<T> {
    /// The body as it was sent, or nothing.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl<'a, T: ParseFromJSON + Default + 'static> ApiExtractor<'a> for OptionalBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(meta::<T>(false))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        if request.content_type().is_none() {
            let raw = read(body, JSON_BYTES_MAX).await?;
            if raw.is_empty() {
                return Ok(Self { value: T::default(), raw });
            }
        }
        let Body { value, raw } = Body::from_request(request, body, options).await?;
        Ok(Self { value, raw })
    }
}

fn meta<T: ParseFromJSON>(required: bool) -> MetaRequest {
    let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
    MetaRequest { description: None, content, required }
}

fn malformed(error: serde_json::Error) -> Problem {
    Problem::new(Code::MalformedBody, format!("The body is not JSON: {error}."))
        .with_errors(vec![Fault::at("", error.to_string())])
}

/// Refuses a body whose `Content-Type` is missing or not accepted. `accepts` gets it in lower case, because
/// types may be written in either case (RFC 9110, 8.3.1).
pub fn check_content_type(
    request: &Request,
    expected: &str,
    accepts: impl Fn(&str) -> bool,
) -> Result<(), Problem> {
    match request.content_type() {
        Some(given) if accepts(&given.to_ascii_lowercase()) => Ok(()),
        Some(given) => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("The body must be {expected}, not {given:?}."),
        )),
        None => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("The header Content-Type is missing; the body must be {expected}."),
        )),
    }
}

/// Reads the whole body, unless it is larger than `bytes_max`.
pub async fn read(body: &mut RequestBody, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.take().map_err(Problem::internal)?.into_bytes_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::MalformedBody, "The body arrived incomplete."))?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err(Problem::new(
                Code::BodyTooLarge,
                format!("The body has more than {bytes_max} bytes."),
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}
