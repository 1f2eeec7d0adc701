//! Bodies that are wrong as a whole, or in one field.

use serde_json::{Value, json};

use super::walk::{Attack, Draft, Expected, MALFORMED, Walk, shortened};
use crate::shop::Ask;
use crate::surface::Surface;
use crate::world::World;

/// Bodies that are wrong as a whole.
fn whole_bodies(draft: &Draft) -> Vec<Attack> {
    let Some(body) = &draft.operation.body else { return bodies_nobody_asked_for(draft) };
    if draft.operation.id == "receive_webhook" {
        return unsigned_bodies(draft);
    }
    let right = body.content_type.as_str();
    let mut attacks = Vec::new();
    let mut attack =
        |what: &str, ask: Ask, expected| attacks.push(Attack { what: what.to_owned(), ask, expected });
    if body.required {
        attack("no body and no type", draft.bare(), Expected::Refused(&[415], None));
    }
    attack("no type", draft.bare().untyped("{}"), Expected::Refused(&[415], None));
    let types = ["text/plain", "application/xml", "nonsense", "multipart/form-data; boundary=x"];
    for wrong in types.into_iter().filter(|wrong| !wrong.starts_with(right)) {
        attack(wrong, draft.bare().body(wrong, "{}"), Expected::Refused(&[415], None));
    }
    let typed = |bytes: Vec<u8>| draft.bare().untyped(bytes).header("Content-Type", right);
    if !body.is_json() {
        for bytes in [b"".to_vec(), b"\0".to_vec(), b"\xff\xfe".to_vec(), b"\"".to_vec(), vec![b','; 100_000]]
        {
            attack("bytes", typed(bytes), Expected::Anything(None));
        }
        return attacks;
    }
    for malformed in
        ["", " ", "{", "{\"a\":}", "[1,", "nul", "'a'", "{\"a\":\"\\ud800\"}", "\u{feff}{}", "{}{}", "NaN"]
    {
        attack(malformed, typed(malformed.into()), MALFORMED);
    }
    attack("not UTF-8", typed(b"{\"a\":\"\xff\"}".to_vec()), MALFORMED);
    attack("nested 10,000 deep", typed(vec![b'['; 10_000]), MALFORMED);
    let nested = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    attack("nested 100 deep", typed(nested.into()), Expected::Refused(&[422], None));
    for other in [json!(null), json!([]), json!([{}]), json!(1), json!("text"), json!(true)] {
        let root = Expected::Refused(&[422], Some(String::new()));
        attack(&format!("the body {other}"), draft.bare().json(&other), root);
    }
    let too_large = format!("\"{}\"", "x".repeat(commerce_api::http::body::JSON_BYTES_MAX));
    attack("too large", typed(too_large.into()), Expected::Refused(&[413], None));
    let mut unknown = draft.body();
    unknown["no/such~field"] = json!(1);
    let pointer = Some("/no~1such~0field".to_owned());
    attack("an unknown field", draft.bare().json(&unknown), Expected::Refused(&[422], pointer));
    attacks
}

/// A webhook's signature comes before everything else: nobody learns more from a body of their own.
fn unsigned_bodies(draft: &Draft) -> Vec<Attack> {
    let bodies = ["", "{", "{}", "[]", "null", "text", "\0"];
    let attack = |body: &str| Attack {
        what: format!("the body {body:?}"),
        ask: draft.bare().body("application/json", body),
        expected: Expected::Refused(&[400], None),
    };
    let mut attacks: Vec<Attack> = bodies.into_iter().map(attack).collect();
    attacks.push(Attack {
        what: "too large".to_owned(),
        ask: draft.bare().untyped(vec![b' '; 257 * 1024]),
        expected: Expected::Refused(&[413], None),
    });
    attacks
}

/// An operation without a body does not trip over one.
fn bodies_nobody_asked_for(draft: &Draft) -> Vec<Attack> {
    let bodies = [("application/json", "{"), ("text/plain", "x"), ("multipart/form-data; boundary=x", "--x")];
    let attack = |(content_type, body): (&str, &str)| Attack {
        what: format!("a body of {content_type}"),
        ask: draft.bare().body(content_type, body),
        expected: Expected::Anything(None),
    };
    bodies.into_iter().map(attack).collect()
}

/// A place in a body and what its schema says.
struct Field {
    pointer: String,
    schema: Value,
    required: bool,
}

/// Every field of a schema, those in objects and in first items of arrays too.
fn fields(surface: &Surface, schema: &Value, pointer: &str, depth: usize, found: &mut Vec<Field>) {
    let schema = surface.plain(schema);
    let is_required =
        |name: &String| schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
    if depth > 5 {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{pointer}/{name}");
        let plain = surface.plain(property);
        fields(surface, &plain, &place, depth + 1, found);
        found.push(Field { pointer: place, schema: plain, required: is_required(name) });
    }
    if let Some(items) = schema.get("items") {
        let place = format!("{pointer}/0");
        fields(surface, items, &place, depth + 1, found);
        found.push(Field { pointer: place, schema: surface.plain(items), required: false });
    }
    if let Some(any) = schema.get("additionalProperties").filter(|any| any.is_object()) {
        let place = format!("{pointer}/k");
        found.push(Field { pointer: place, schema: surface.plain(any), required: false });
    }
}

/// Something that fits a schema, for the way to a field that the example leaves out.
fn sample(surface: &Surface, schema: &Value) -> Value {
    let schema = surface.plain(schema);
    if let Some(example) = schema.get("example").or(schema.get("default")).or(schema["enum"].get(0)) {
        return example.clone();
    }
    match schema["type"].as_str() {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        _ => json!("x"),
    }
}

/// Puts a value at a pointer, making what leads there; `None` takes the field away.
fn put(surface: &Surface, schema: &Value, body: &mut Value, pointer: &[&str], value: Option<Value>) {
    let Some((name, rest)) = pointer.split_first() else {
        *body = value.unwrap_or_default();
        return;
    };
    let schema = surface.plain(schema);
    let (child, slot) = if let Some(items) = schema.get("items") {
        if body.as_array().is_none_or(Vec::is_empty) {
            *body = json!([sample(surface, items)]);
        }
        (items.clone(), &mut body[0])
    } else {
        if !body.is_object() {
            *body = sample(surface, &schema);
        }
        let property = schema["properties"].get(name).or(schema.get("additionalProperties"));
        let property = property.cloned().unwrap_or_default();
        if rest.is_empty() && value.is_none() {
            body.as_object_mut().unwrap().remove(*name);
            return;
        }
        if !rest.is_empty() && body.get(*name).is_none_or(Value::is_null) {
            body[*name] = sample(surface, &property);
        }
        (property, &mut body[*name])
    };
    put(surface, &child, slot, rest, value);
}

/// Values that a field must refuse going by its schema (`true`), and such that only a use case can judge.
fn wrong_values(field: &Field) -> Vec<(Value, bool)> {
    let schema = &field.schema;
    let nullable = schema["nullable"] == true || !field.required && !field.pointer.ends_with("/0");
    let mut values = vec![(Value::Null, !nullable && schema["type"].is_string())];
    let others = [json!("text"), json!(1.5), json!(true), json!([]), json!({}), json!([null])];
    let is_type = |value: &Value| match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => false,
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value == &json!([]),
        Some("object") => value.is_object(),
        _ => true,
    };
    values.extend(others.into_iter().map(|value| {
        let refused = !is_type(&value);
        (value, refused)
    }));
    match schema["type"].as_str() {
        Some("string") => values.extend(wrong_texts(schema)),
        Some("integer" | "number") => values.extend(wrong_numbers(schema)),
        Some("array") => {
            let max = schema["maxItems"].as_u64();
            let many = max.map_or(5_000, |max| max + 1);
            let item = json!("x");
            values.push((Value::Array(vec![item; usize::try_from(many).unwrap()]), max.is_some()));
            if schema["minItems"].as_u64().is_some_and(|min| min > 0) {
                values.push((json!([]), true));
            }
        }
        _ => {
            // What is free-form goes into the database too, where no text has a NUL.
            let deep = serde_json::from_str(&format!("{}{}", "[".repeat(60), "]".repeat(60))).unwrap();
            let free = [
                json!({ "a\0": 1 }),
                json!({ "a": "\0" }),
                json!({ "": "" }),
                json!({ "k".repeat(10_000): 1 }),
                deep,
            ];
            values.extend(free.into_iter().map(|value| (value, false)));
        }
    }
    values
}

fn wrong_texts(schema: &Value) -> Vec<(Value, bool)> {
    let closed = schema.get("enum").is_some() || schema.get("pattern").is_some();
    let closed = closed || ["uuid", "date-time", "email"].iter().any(|format| schema["format"] == *format);
    let (min, max) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
    let mut texts = vec![
        (json!(""), closed || min.is_some_and(|min| min > 0)),
        (json!(" "), closed),
        (json!("a\0b"), true),
        (json!("a\u{1}\u{1b}\r\nB: c\u{7f}\u{85}\u{2028}"), closed),
        (json!("\u{202e}\u{fffd}🦀\u{e000}\u{10ffff}"), closed),
        (json!("'; DROP TABLE commerce.orders; --"), closed),
        (json!("../../../etc/passwd"), closed),
        (json!("00000000-0000-0000-0000-000000000000"), false),
        (json!("9".repeat(400)), closed || max.is_some_and(|max| max < 400)),
        // Every text has an end.
        (json!("x".repeat(10_000)), closed || max.is_none_or(|max| max < 10_000)),
    ];
    let repeated = |length: u64| json!("é".repeat(usize::try_from(length).unwrap()));
    texts.extend(max.map(|max| (repeated(max + 1), true)));
    texts.extend(min.filter(|min| *min > 1).map(|min| (repeated(min - 1), true)));
    texts
}

fn wrong_numbers(schema: &Value) -> Vec<(Value, bool)> {
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let integer = schema["type"] == "integer";
    let outside = |value: f64| min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max);
    let small = schema["format"] == "int32";
    let mut numbers: Vec<(Value, bool)> = vec![
        (json!(0), outside(0.0)),
        (json!(-1), outside(-1.0)),
        (json!(i64::MAX), outside(i64::MAX as f64) || small),
        (json!(i64::MIN), outside(i64::MIN as f64) || small),
        (json!(9_223_372_036_854_775_808u64), integer),
        (json!(1e308), integer || outside(1e308)),
        (json!(-1e308), integer || outside(-1e308)),
        (json!("1"), true),
    ];
    numbers.extend(min.map(|min| (json!(min as i64 - 1), true)));
    numbers.extend(max.map(|max| (json!(max as i64 + 1), true)));
    numbers
}

/// Every field missing and wrong in turn.
fn wrong_fields(surface: &Surface, draft: &Draft) -> Vec<Attack> {
    let Some(body) = draft.operation.body.as_ref().filter(|body| body.is_json()) else { return Vec::new() };
    let mut found = Vec::new();
    fields(surface, &body.schema, "", 0, &mut found);
    let mut attacks = Vec::new();
    let mut attack = |field: &Field, value: Option<Value>, refused: bool| {
        let mut changed = draft.body();
        let place: Vec<&str> = field.pointer.split('/').skip(1).collect();
        let shown =
            value.as_ref().map_or_else(|| "missing".to_owned(), |value| shortened(&value.to_string()));
        let value_length = value.as_ref().and_then(Value::as_str).map_or(0, str::len);
        put(surface, &body.schema, &mut changed, &place, value);
        // A use case that finds a text too long may have found something else first.
        let long = value_length > 9_999 && field.schema.get("maxLength").is_none();
        let pointer = (!long).then(|| field.pointer.clone());
        let expected = if refused { Expected::Refused(&[422], pointer) } else { Expected::Anything(None) };
        let what = format!("{} = {}", field.pointer, shown.chars().take(60).collect::<String>());
        attacks.push(Attack { what, ask: draft.bare().json(&changed), expected });
    };
    for field in &found {
        if !field.pointer.ends_with("/0") && !field.pointer.ends_with("/k") {
            attack(field, None, field.required);
        }
        for (value, refused) in wrong_values(field) {
            attack(field, Some(value), refused);
        }
    }
    attacks
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_and_every_field_of_it() {
    let mut walk = Walk::new().await;
    for operation in walk.surface.operations() {
        let world = World::new(&walk.shop).await;
        let draft = Draft::new(&world, &operation);
        let mut attacks = whole_bodies(&draft);
        attacks.extend(wrong_fields(&walk.surface, &draft));
        walk.send(&operation, attacks).await;
    }
    walk.finish().await;
}
