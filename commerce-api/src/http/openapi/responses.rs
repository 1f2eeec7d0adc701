//! The responses of every operation, with their codes.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::examples::add_examples;
use crate::http::problem::Code;

/// Completes the error responses, and adds examples to the other responses.
pub fn write_out(operation: &mut Mapping, changes: bool, schemas: &Value) {
    let form = Form::of(operation, changes);
    let Some(Value::Mapping(responses)) = operation.get_mut("responses") else { return };
    let mut codes: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let mut kept = Mapping::new();
    for (status, mut response) in std::mem::take(responses) {
        let number: u16 = status.as_str().and_then(|status| status.parse().ok()).unwrap_or_default();
        if number >= 400 {
            codes.entry(number).or_default().extend(declared(&response));
        } else {
            describe_success(number, &mut response, form.keyed);
            add_examples(&mut response, schemas);
            kept.insert(status, response);
        }
    }
    for code in form.codes() {
        let of_status = codes.entry(code.status().as_u16()).or_default();
        if !of_status.contains(&code) {
            of_status.push(code);
        }
    }
    for (status, codes) in codes {
        let response = match codes.as_slice() {
            [only] => mapping([("$ref", format!("#/components/responses/{}", only.as_str()).into())]),
            several => error_response(several),
        };
        kept.insert(status.to_string().into(), response);
    }
    *responses = kept;
}

/// The responses with a single code. Operations refer to them.
pub fn shared() -> Value {
    let responses = Code::ALL.iter().map(|code| (code.as_str().into(), error_response(&[*code])));
    Value::Mapping(responses.collect())
}

/// The properties of an operation that decide which errors can occur before its handler runs.
struct Form {
    secured: bool,
    changes: bool,
    permission: bool,
    body: bool,
    parameters: bool,
    keyed: bool,
    key_required: bool,
    versioned: bool,
    limited: bool,
}

impl Form {
    fn of(operation: &Mapping, changes: bool) -> Self {
        let parameters =
            operation.get("parameters").and_then(Value::as_sequence).cloned().unwrap_or_default();
        let named = |name: &str| {
            parameters.iter().find(|parameter| parameter.get("name").and_then(Value::as_str) == Some(name))
        };
        let key = named("Idempotency-Key");
        Self {
            secured: operation.contains_key("security"),
            changes,
            permission: operation.contains_key("x-permission"),
            body: operation.contains_key("requestBody"),
            parameters: !parameters.is_empty(),
            keyed: key.is_some(),
            key_required: key.and_then(|key| key.get("required")).and_then(Value::as_bool) == Some(true),
            versioned: named("If-Match").is_some(),
            limited: operation
                .get("operationId")
                .and_then(Value::as_str)
                .is_some_and(crate::http::rate_limit::limits),
        }
    }

    fn codes(&self) -> Vec<Code> {
        let mut codes = vec![Code::Internal, Code::Unavailable];
        let mut add = |applies: bool, more: &[Code]| {
            if applies {
                codes.extend_from_slice(more);
            }
        };
        add(self.secured, &[Code::Unauthenticated]);
        add(self.permission, &[Code::PermissionDenied, Code::SecondFactorNotSetUp]);
        add(self.secured && self.changes, &[Code::CrossOrigin]);
        add(self.parameters || self.secured, &[Code::InvalidParameter]);
        add(
            self.body,
            &[Code::MalformedBody, Code::BodyTooLarge, Code::UnsupportedMediaType, Code::ValidationFailed],
        );
        add(self.keyed, &[Code::IdempotencyKeyInUse, Code::IdempotencyKeyReused]);
        add(self.key_required, &[Code::IdempotencyKeyRequired]);
        add(self.versioned, &[Code::VersionMismatch]);
        add(self.limited, &[Code::RateLimited]);
        codes
    }
}

/// The codes that `problem::declare` put into the schema.
fn declared(response: &Value) -> Vec<Code> {
    let media = response.get("content").and_then(|content| content.get("application/problem+json"));
    let names = media.and_then(|media| media.get("schema")?.get("enum")?.as_sequence());
    let known = |name: &Value| Code::ALL.iter().copied().find(|code| Some(code.as_str()) == name.as_str());
    names.map(|names| names.iter().filter_map(known).collect()).unwrap_or_default()
}

fn describe_success(status: u16, response: &mut Value, keyed: bool) {
    let Some(response) = response.as_mapping_mut() else { return };
    let description = match status {
        200 => "Success.",
        201 => "Created.",
        202 => "Accepted.",
        204 => "Success, without a body.",
        _ => "Answer.",
    };
    response.insert("description".into(), description.into());
    if keyed {
        let headers = response.entry("headers".into()).or_insert_with(|| Mapping::new().into());
        let replayed = mapping([
            (
                "description",
                "`true` if this is the stored answer to an earlier request with the same key.".into(),
            ),
            ("schema", mapping([("type", "string".into())])),
        ]);
        if let Some(headers) = headers.as_mapping_mut() {
            headers.insert("Idempotent-Replayed".into(), replayed);
        }
    }
}

fn error_response(codes: &[Code]) -> Value {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.meaning().trim())).collect();
    let first = codes.first().copied().unwrap_or(Code::Internal);
    let example = mapping([
        ("type", format!("/problems/{}", first.as_str()).into()),
        ("title", first.title().into()),
        ("status", first.status().as_u16().into()),
        ("detail", first.meaning().trim().into()),
        ("instance", "/v1/…".into()),
        ("code", first.as_str().into()),
        ("request_id", "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e".into()),
        ("errors", Value::Sequence(Vec::new())),
    ]);
    let schema = mapping([("$ref", "#/components/schemas/Problem".into())]);
    let media = mapping([("schema", schema), ("example", example)]);
    let mut response = mapping([
        ("description", lines.join("\n").into()),
        ("content", mapping([("application/problem+json", media)])),
    ]);
    let codes = codes.iter().map(|code| Value::from(code.as_str())).collect();
    if let Some(response) = response.as_mapping_mut() {
        response.insert("x-codes".into(), Value::Sequence(codes));
    }
    response
}

fn mapping<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Mapping(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}
