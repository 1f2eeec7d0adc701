//! The spec as the tests walk it: what is generated is what is attacked, so a new operation is attacked from its first day.

use std::collections::BTreeMap;

use commerce_api::routes;
use poem::http::Method;
use serde_json::{Map, Value};

use crate::shop::Got;

pub struct Surface {
    document: Value,
}

/// One operation of the spec.
#[derive(Debug, Clone)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    /// As the spec writes it, such as `/orders/{id}`.
    pub path: String,
    /// Each way to be let in; an empty name is nobody.
    pub schemes: Vec<String>,
    pub permission: Option<String>,
    pub parameters: Vec<Parameter>,
    pub body: Option<RequestBody>,
    responses: Map<String, Value>,
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: String,
    /// `path`, `query` or `header`.
    pub place: String,
    pub required: bool,
    /// Without references.
    pub schema: Value,
}

#[derive(Debug, Clone)]
pub struct RequestBody {
    pub content_type: String,
    pub required: bool,
    pub schema: Value,
    /// The example of the spec; null where it has none.
    pub example: Value,
}

impl RequestBody {
    pub fn is_json(&self) -> bool {
        self.content_type.starts_with("application/json")
    }
}

impl Operation {
    /// Whether this name is among the ways to be let in.
    pub fn accepts(&self, scheme: &str) -> bool {
        self.schemes.iter().any(|known| known == scheme)
    }

    pub fn is_public(&self) -> bool {
        self.schemes.is_empty() || self.accepts("")
    }

    pub fn parameters_in<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.place == place)
    }

    pub fn has_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
    }
}

impl Surface {
    pub fn read() -> Self {
        Self { document: serde_json::from_str(&routes::document().json()).unwrap() }
    }

    /// Every operation, in the order of the spec.
    pub fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                operations.push(self.operation(path, method, operation));
            }
        }
        assert!(operations.len() > 10, "the walk found next to nothing");
        operations
    }

    /// The tags of the spec, in its order.
    pub fn chapters(&self) -> Vec<String> {
        let tags = self.document["tags"].as_array().unwrap();
        tags.iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Every path with its methods.
    pub fn paths(&self) -> BTreeMap<String, Vec<Method>> {
        let mut paths: BTreeMap<String, Vec<Method>> = BTreeMap::new();
        for Operation { path, method, .. } in self.operations() {
            paths.entry(path).or_default().push(method);
        }
        paths
    }

    fn operation(&self, path: &str, method: &str, operation: &Value) -> Operation {
        let requirements = operation["security"].as_array().cloned().unwrap_or_default();
        let scheme =
            |requirement: &Value| requirement.as_object().unwrap().keys().next().cloned().unwrap_or_default();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let parameter = |parameter: &Value| Parameter {
            name: parameter["name"].as_str().unwrap().to_owned(),
            place: parameter["in"].as_str().unwrap().to_owned(),
            required: parameter["required"] == true,
            schema: self.plain(&parameter["schema"]),
        };
        let content = operation["requestBody"]["content"].as_object();
        let body = content.and_then(|content| content.iter().next()).map(|(content_type, media)| {
            let content_type = content_type.clone();
            let required = operation["requestBody"]["required"] == true;
            RequestBody {
                content_type,
                required,
                schema: media["schema"].clone(),
                example: media["example"].clone(),
            }
        });
        Operation {
            id: operation["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            path: path.to_owned(),
            schemes: requirements.iter().map(scheme).collect(),
            permission: operation["x-permission"].as_str().map(str::to_owned),
            parameters: parameters.iter().map(parameter).collect(),
            body,
            responses: operation["responses"].as_object().unwrap().clone(),
        }
    }

    /// A schema without `$ref` and `allOf` at its top.
    pub fn plain(&self, schema: &Value) -> Value {
        let mut whole = Map::new();
        let mut add = |part: Value| {
            if let Value::Object(part) = part {
                whole.extend(part);
            }
        };
        let mut own = schema.as_object().cloned().unwrap_or_default();
        if let Some(target) = own.remove("$ref") {
            let target = target.as_str().unwrap().trim_start_matches('#').to_owned();
            add(self.plain(self.document.pointer(&target).unwrap()));
        }
        for part in own.remove("allOf").as_ref().and_then(Value::as_array).into_iter().flatten() {
            add(self.plain(part));
        }
        add(Value::Object(own));
        Value::Object(whole)
    }

    /// What is wrong with an answer, going by what the spec says about the operation. Never empty for a 5xx.
    pub fn faults_of(&self, operation: &Operation, got: &Got) -> Vec<String> {
        let status = got.status.as_u16();
        let mut faults = form_faults(got);
        let Some(declared) = operation.responses.get(status.to_string().as_str()) else {
            let not_declared = got.status != 405;
            faults.extend(not_declared.then(|| format!("the status {status} is not in the spec")));
            return faults;
        };
        if status >= 400 {
            let declared = match declared["$ref"].as_str() {
                Some(target) => self.document.pointer(target.trim_start_matches('#')).unwrap(),
                None => declared,
            };
            let code = got.json()["code"].clone();
            if !declared["x-codes"].as_array().is_some_and(|codes| codes.contains(&code)) {
                faults.push(format!("the code {code} is not in the spec at {status}"));
            }
        }
        faults
    }
}

/// What is wrong with the form of an answer, whatever was asked.
pub fn form_faults(got: &Got) -> Vec<String> {
    let mut faults = Vec::new();
    let status = got.status.as_u16();
    if status >= 500 {
        faults.push(format!("answered {status}"));
    }
    if got.header("x-request-id").is_none_or(str::is_empty) {
        faults.push("has no X-Request-Id".to_owned());
    }
    if status < 400 {
        return faults;
    }
    if got.header("content-type") != Some("application/problem+json") {
        faults.push(format!("{status} is no problem document: {:?}", got.header("content-type")));
        return faults;
    }
    let Ok(document) = serde_json::from_str::<Value>(&got.text) else {
        faults.push(format!("{status} is not JSON: {:?}", got.text));
        return faults;
    };
    let code = document["code"].as_str().unwrap_or_default();
    let known = commerce_api::http::problem::Code::ALL.iter().find(|known| known.as_str() == code);
    if known.is_none_or(|known| known.status().as_u16() != status) {
        faults.push(format!("the code {code:?} does not go with {status}"));
    }
    if document["status"] != status || document["request_id"].as_str() != got.header("x-request-id") {
        faults.push(format!("status or request id differ from the response's: {document}"));
    }
    for member in ["type", "title", "detail", "instance"] {
        if document[member].as_str().is_none_or(str::is_empty) {
            faults.push(format!("has no {member}"));
        }
    }
    let errors = document["errors"].as_array().cloned().unwrap_or_default();
    let names_place = |error: &Value| {
        error["pointer"].is_string() || error["parameter"].is_string() || error["line"].is_number()
    };
    if !errors.iter().all(names_place) {
        faults.push(format!("an error names no place: {document}"));
    }
    if ["validation_failed", "malformed_body", "invalid_parameter"].contains(&code) && errors.is_empty() {
        faults.push(format!("{code} names no place: {document}"));
    }
    faults
}
