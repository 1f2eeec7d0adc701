//! A body of `multipart/form-data` with an image.

use bytes::Bytes;
use commerce_core::catalog::limits::IMAGE_ALT_CHARS_MAX;
use commerce_core::catalog::limits::IMAGE_FILE_BYTES_MAX;
use poem::web::{Field, Multipart};
use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use sha2::{Digest, Sha256};

use crate::http::body;
use crate::http::problem::{Code, Fault, Problem};

/// The most bytes that the form may have beside its file.
const REST_BYTES_MAX: usize = 64 * 1024;

const CONTENT_TYPE: &str = "multipart/form-data";

const SCHEMA: &str = "UploadImageRequest";

/// An image and its texts. The name and the declared type of the file are ignored.
pub struct ImageUpload {
    pub file: Bytes,
    pub alt: String,
    pub position: Option<usize>,
}

impl ImageUpload {
    /// The identity of an upload: its content, not the boundaries that a client chose for the form.
    pub fn fingerprint(&self) -> Vec<u8> {
        let Self { file, alt, position } = self;
        let mut fingerprint = format!("{alt:?} {position:?} ").into_bytes();
        fingerprint.extend(Sha256::digest(file));
        fingerprint
    }
}

impl<'a> ApiExtractor<'a> for ImageUpload {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(SCHEMA.to_owned(), |_| schema());
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchemaRef::Reference(SCHEMA.to_owned());
        let content = vec![MetaMediaType { content_type: CONTENT_TYPE, schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let is_form = |given: &str| given.split(';').next().is_some_and(|kind| kind.trim() == CONTENT_TYPE);
        body::check_content_type(request, CONTENT_TYPE, is_form)?;
        let bytes = body::read(body, IMAGE_FILE_BYTES_MAX + REST_BYTES_MAX).await?;
        let mut form =
            <Multipart as FromRequest>::from_request(request, &mut RequestBody::new(bytes.into())).await?;
        let (mut parts, mut faults) = (Parts::default(), Vec::new());
        while let Some(field) = form.next_field().await? {
            faults.extend(parts.take(field).await?);
        }
        Ok(parts.upload(faults)?)
    }
}

#[derive(Default)]
struct Parts {
    file: Option<Vec<u8>>,
    alt: Option<String>,
    position: Option<usize>,
}

impl Parts {
    /// Reads a field, or returns what is wrong with it.
    async fn take(&mut self, field: Field) -> Result<Option<Fault>> {
        let name = field.name().unwrap_or_default().to_owned();
        let is_twice = match name.as_str() {
            "file" => self.file.is_some(),
            "alt" => self.alt.is_some(),
            "position" => self.position.is_some(),
            _ => {
                let shown: String = name.chars().take(100).collect();
                let pointer = format!("/{}", shown.replace('~', "~0").replace('/', "~1"));
                return Ok(Some(Fault::at(pointer, "is unknown: the fields are file, alt and position")));
            }
        };
        let bytes = field.bytes().await?;
        let fault = |message: &str| Ok(Some(Fault::at(format!("/{name}"), message)));
        if is_twice {
            return fault("is given twice");
        }
        match name.as_str() {
            "file" if bytes.len() > IMAGE_FILE_BYTES_MAX => {
                let detail = format!(
                    "The file has {} bytes. At most {IMAGE_FILE_BYTES_MAX} are allowed.",
                    bytes.len()
                );
                return Err(Problem::new(Code::BodyTooLarge, detail).into());
            }
            "file" => self.file = Some(bytes),
            "alt" => match String::from_utf8(bytes) {
                Ok(alt) => self.alt = Some(alt),
                Err(_) => return fault("must be UTF-8"),
            },
            // Forms send an empty field if the user left it empty.
            _ if bytes.is_empty() => {}
            _ => match std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<u32>().ok()) {
                Some(position) => self.position = Some(usize::try_from(position).unwrap_or(usize::MAX)),
                None => return fault("must be a number from 0"),
            },
        }
        Ok(None)
    }

    fn upload(self, mut faults: Vec<Fault>) -> Result<ImageUpload, Problem> {
        match self.file {
            Some(file) if faults.is_empty() => Ok(ImageUpload {
                file: file.into(),
                alt: self.alt.unwrap_or_default(),
                position: self.position,
            }),
            Some(_) => Err(Problem::invalid(faults)),
            None => {
                faults.push(Fault::at("/file", "is missing"));
                Err(Problem::invalid(faults))
            }
        }
    }
}

/// The form as the spec describes it.
fn schema() -> MetaSchema {
    let field = |ty: &'static str, format: Option<&'static str>, description: &'static str| MetaSchema {
        format,
        description: Some(description),
        ..MetaSchema::new(ty)
    };
    let inline = |schema: MetaSchema| MetaSchemaRef::Inline(Box::new(schema));
    let file =
        field("string", Some("binary"), "A JPEG, PNG or WebP file of at most 20 MiB and 25 megapixels.");
    let alt = MetaSchema {
        max_length: Some(IMAGE_ALT_CHARS_MAX),
        ..field("string", None, "Alternative text: what the image shows.")
    };
    let position = MetaSchema {
        minimum: Some(0.0),
        ..field("integer", Some("uint32"), "The position among the images, from 0. Last by default.")
    };
    MetaSchema {
        description: Some("An image to upload."),
        required: vec!["file"],
        properties: vec![("file", inline(file)), ("alt", inline(alt)), ("position", inline(position))],
        example: Some(
            serde_json::json!({ "file": "(binary)", "alt": "A pair of moss green socks", "position": 0 }),
        ),
        ..MetaSchema::new("object")
    }
}
