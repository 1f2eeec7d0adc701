//! Parameters that are read from a header.

/// Makes a type a parameter of handlers. It is a string in the spec, and `$read` reads it from the request.
macro_rules! header_parameter {
    ($name:ident, required = $required:literal, |$request:ident| $read:expr) => {
        impl<'a> poem_openapi::ApiExtractor<'a> for $name {
            const TYPES: &'static [poem_openapi::ApiExtractorType] =
                &[poem_openapi::ApiExtractorType::Parameter];
            const PARAM_IS_REQUIRED: bool = $required;

            type ParamType = String;
            type ParamRawType = String;

            fn register(registry: &mut poem_openapi::registry::Registry) {
                <String as poem_openapi::types::Type>::register(registry);
            }

            fn param_in() -> Option<poem_openapi::registry::MetaParamIn> {
                Some(poem_openapi::registry::MetaParamIn::Header)
            }

            fn param_schema_ref() -> Option<poem_openapi::registry::MetaSchemaRef> {
                Some(<String as poem_openapi::types::Type>::schema_ref())
            }

            async fn from_request(
                $request: &'a poem::Request,
                _body: &mut poem::RequestBody,
                _options: poem_openapi::ExtractParamOptions<String>,
            ) -> poem::Result<Self> {
                $read
            }
        }
    };
}

pub(super) use header_parameter;
