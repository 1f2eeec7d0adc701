//! Checks a JSON body against the schema in the spec, and names every wrong field.
//!
//! The framework's parser stops at the first error, does not say where it is, and accepts `1` as a string.
//! This check uses the published schema itself, so the spec and the check cannot differ.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use commerce_core::text::free_text;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Email, ParseFromJSON as _, Type};
use regex::Regex;
use serde_json::Value;

use crate::http::problem::Fault;

/// The most errors that are listed. More would not help the client.
const FAULTS_MAX: usize = 50;

/// The deepest nesting that is accepted. No body of this API comes near it.
const DEPTH_MAX: usize = 32;

/// All errors of `value` as a `T`. Empty if it is valid. `published` are the schemas of the spec. A schema
/// that is missing there is generated.
pub fn faults<T: Type>(value: &Value, published: &BTreeMap<String, MetaSchema>) -> Vec<Fault> {
    let own;
    let mut check = Check { schemas: published, faults: Vec::new() };
    let schema = T::schema_ref();
    if let MetaSchemaRef::Reference(name) = &schema
        && !check.schemas.contains_key(name)
    {
        let mut registry = Registry::new();
        T::register(&mut registry);
        own = registry.schemas;
        check.schemas = &own;
    }
    check.reference(&schema, value, "", 0);
    check.faults
}

struct Check<'a> {
    schemas: &'a BTreeMap<String, MetaSchema>,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn wrong(&mut self, pointer: &str, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::at(pointer, message));
        }
    }

    fn reference(&mut self, schema: &MetaSchemaRef, value: &Value, pointer: &str, depth: usize) {
        if depth > DEPTH_MAX {
            return self.wrong(pointer, "is nested too deeply");
        }
        let schemas = self.schemas;
        match schema {
            MetaSchemaRef::Inline(schema) => self.schema(schema, value, pointer, depth),
            MetaSchemaRef::Reference(name) => {
                if let Some(schema) = schemas.get(name) {
                    self.schema(schema, value, pointer, depth);
                }
            }
        }
    }

    fn schema(&mut self, schema: &MetaSchema, value: &Value, pointer: &str, depth: usize) {
        for part in &schema.all_of {
            self.reference(part, value, pointer, depth + 1);
        }
        if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
            let choices: Vec<String> = schema.enum_items.iter().map(plain).collect();
            return self.wrong(pointer, format!("must be one of: {}", choices.join(", ")));
        }
        match (schema.ty, value) {
            ("", _) => self.free_form(value, pointer),
            (_, Value::Null) if schema.nullable => {}
            ("object", Value::Object(fields)) => self.object(schema, fields, pointer, depth),
            ("array", Value::Array(items)) => self.array(schema, items, pointer, depth),
            ("string", Value::String(text)) => self.string(schema, text, pointer),
            ("integer", Value::Number(number)) => self.integer(schema, number, pointer),
            ("number", Value::Number(number)) => self.range(schema, number.as_f64(), pointer),
            ("boolean", Value::Bool(_)) => {}
            (expected, _) => self.wrong(pointer, format!("must be {}", with_article(expected))),
        }
    }

    fn object(
        &mut self,
        schema: &MetaSchema,
        fields: &serde_json::Map<String, Value>,
        pointer: &str,
        depth: usize,
    ) {
        for name in schema.required.iter().filter(|name| !fields.contains_key(**name)) {
            self.wrong(&child(pointer, name), "is missing");
        }
        for (name, value) in fields {
            let place = child(pointer, name);
            if let Some((_, property)) = schema.properties.iter().find(|(known, _)| known == name) {
                // A missing optional field and an explicit null mean the same.
                let required = schema.required.contains(&name.as_str());
                if required || !value.is_null() {
                    self.reference(property, value, &place, depth + 1);
                }
            } else if let Some(of_any_name) = &schema.additional_properties {
                self.text(name, &place);
                self.reference(of_any_name, value, &place, depth + 1);
            } else if !schema.properties.is_empty() || is_closed(schema) {
                self.wrong(&place, "is not a field of this object");
            }
        }
        if schema.max_properties.is_some_and(|max| fields.len() > max) {
            self.wrong(pointer, "has too many fields");
        }
    }

    fn array(&mut self, schema: &MetaSchema, items: &[Value], pointer: &str, depth: usize) {
        if let Some(max) = schema.max_items.filter(|max| items.len() > *max) {
            return self.wrong(pointer, format!("must have at most {max} items"));
        }
        if let Some(min) = schema.min_items.filter(|min| items.len() < *min) {
            self.wrong(pointer, format!("must have at least {min} items"));
        }
        if let Some(item_schema) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.reference(item_schema, item, &format!("{pointer}/{index}"), depth + 1);
            }
        }
    }

    fn string(&mut self, schema: &MetaSchema, text: &str, pointer: &str) {
        let length = text.chars().count();
        // Some letters are more characters in the normal form, in which texts are stored.
        let stored = if text.is_ascii() { length } else { free_text(text).chars().count() };
        if let Some(max) = schema.max_length.filter(|max| length.max(stored) > *max) {
            self.wrong(pointer, format!("must have at most {max} characters"));
        }
        if let Some(min) = schema.min_length.filter(|min| length < *min) {
            let message = if min == 1 {
                "must not be empty".to_owned()
            } else {
                format!("must have at least {min} characters")
            };
            self.wrong(pointer, message);
        }
        self.text(text, pointer);
        if let Some(pattern) = schema.pattern.as_deref().filter(|pattern| !matches(pattern, text)) {
            self.wrong(pointer, format!("must match the pattern {pattern}"));
        }
        match schema.format {
            Some("email") if Email::parse_from_json(Some(text.into())).is_err() => {
                self.wrong(pointer, "must be an e-mail address such as ada@example.com");
            }
            Some("uuid") if uuid::Uuid::parse_str(text).is_err() => self.wrong(pointer, "must be a UUID"),
            Some("date-time") if chrono::DateTime::parse_from_rfc3339(text).is_err() => {
                self.wrong(pointer, "must be an RFC 3339 time such as 2026-01-31T12:00:00Z");
            }
            _ => {}
        }
    }

    /// Checks for what no text may contain, because Postgres cannot store it.
    fn text(&mut self, text: &str, pointer: &str) {
        if text.contains('\0') {
            self.wrong(pointer, "must not contain the character U+0000");
        }
    }

    /// A value of any type, which may contain values of any type.
    fn free_form(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::String(text) => self.text(text, pointer),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.free_form(item, &format!("{pointer}/{index}"));
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let place = child(pointer, name);
                    self.text(name, &place);
                    self.free_form(value, &place);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn integer(&mut self, schema: &MetaSchema, number: &serde_json::Number, pointer: &str) {
        let fits = match schema.format {
            Some("int32") => number.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
            Some("uint32") => number.as_u64().is_some_and(|value| u32::try_from(value).is_ok()),
            Some("int16") => number.as_i64().is_some_and(|value| i16::try_from(value).is_ok()),
            Some("uint16") => number.as_u64().is_some_and(|value| u16::try_from(value).is_ok()),
            Some("uint64") => number.is_u64(),
            _ => number.is_i64(),
        };
        if number.is_f64() {
            self.wrong(pointer, "must be a whole number within the 64-bit range");
        } else if !fits {
            self.wrong(pointer, "is outside of the supported range");
        } else {
            self.range(schema, number.as_f64(), pointer);
        }
    }

    fn range(&mut self, schema: &MetaSchema, number: Option<f64>, pointer: &str) {
        let Some(number) = number else { return };
        if let Some(min) = schema.minimum {
            let exclusive = schema.exclusive_minimum == Some(true);
            if number < min || (exclusive && number == min) {
                let bound = if exclusive { "more than" } else { "at least" };
                self.wrong(pointer, format!("must be {bound} {min}"));
            }
        }
        if let Some(max) = schema.maximum {
            let exclusive = schema.exclusive_maximum == Some(true);
            if number > max || (exclusive && number == max) {
                let bound = if exclusive { "less than" } else { "at most" };
                self.wrong(pointer, format!("must be {bound} {max}"));
            }
        }
    }
}

/// An object type without fields accepts none. A free-form map has `additional_properties`.
fn is_closed(schema: &MetaSchema) -> bool {
    schema.rust_typename.is_some() && schema.additional_properties.is_none()
}

/// Whether a text matches a pattern of a schema. Each pattern is compiled once.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: Mutex<BTreeMap<String, Option<Regex>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    // If a pattern does not compile, the text is accepted.
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

/// The pointer to a field, escaped as RFC 6901 says.
fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn with_article(json_type: &str) -> String {
    match json_type {
        "object" => "an object".to_owned(),
        "array" => "an array".to_owned(),
        "integer" => "a whole number".to_owned(),
        "string" => "a text".to_owned(),
        other => format!("a {other}"),
    }
}
