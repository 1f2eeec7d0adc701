//! Every operation of the spec under bad input: each body, field, parameter and header wrong in every way that we know of.
//!
//! Whatever is sent, the answer is never a 5xx, always one that the spec declares for the operation, points at what is
//! wrong, and a refused request has changed nothing in any table.

use image::ImageFormat;
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::images::{encoded, picture};
use crate::shop::{Ask, Got, TestShop, ask};
use crate::surface::{Operation, Parameter, Surface, form_faults};
use crate::world::{Credential, World, fingerprint};

/// The answers that refuse a request as a guess at a secret, and count the guess.
const COUNTED_GUESSES: [&str; 6] = [
    "invalid_code",
    "invalid_credentials",
    "invalid_refresh_token",
    "email_not_verified",
    "rate_limited",
    "wrong_password",
];

/// What must come of a request.
#[derive(Debug, Clone)]
enum Expected {
    /// Refused with one of these statuses; the place, if there is one, is among those that `errors` names.
    Refused(&'static [u16], Option<String>),
    /// Refused or not: no schema says. If as invalid, the place is named.
    Anything(Option<String>),
}

struct Attack {
    what: String,
    ask: Ask,
    expected: Expected,
}

/// Sends attacks at one operation after the other and gathers what is wrong with the answers.
struct Walk {
    shop: TestShop,
    surface: Surface,
    faults: Vec<String>,
    sent: usize,
}

impl Walk {
    async fn new() -> Self {
        Self { shop: TestShop::new().await, surface: Surface::read(), faults: Vec::new(), sent: 0 }
    }

    async fn send(&mut self, operation: &Operation, attacks: Vec<Attack>) {
        // What is surely refused is looked at together, the rest one by one: it may be taken, and change something.
        let is_refused = |attack: &Attack| matches!(attack.expected, Expected::Refused(..));
        let (refused, others): (Vec<_>, Vec<_>) = attacks.into_iter().partition(is_refused);
        let mut before = fingerprint(&self.shop).await;
        for attack in refused {
            self.attack(operation, attack).await;
        }
        before = self.unchanged(operation, "what is refused", before).await;
        for attack in others {
            let what = attack.what.clone();
            let got = self.attack(operation, attack).await;
            if operation.method == Method::GET {
                continue;
            }
            let guess = got.status.is_client_error()
                && COUNTED_GUESSES.contains(&got.json()["code"].as_str().unwrap_or_default());
            if got.status.is_client_error() && !guess {
                before = self.unchanged(operation, &what, before).await;
            } else {
                before = fingerprint(&self.shop).await;
            }
        }
    }

    async fn attack(&mut self, operation: &Operation, attack: Attack) -> Got {
        let Attack { what, ask, expected } = attack;
        let got = self.shop.send(ask).await;
        self.sent += 1;
        let mut faults = self.surface.faults_of(operation, &got);
        faults.extend(unexpected(&got, &expected));
        let id = &operation.id;
        self.faults.extend(faults.into_iter().map(|fault| format!("{id}, {what}: {fault}")));
        got
    }

    /// Compares all tables with what they were, and returns what they are.
    async fn unchanged(
        &mut self,
        operation: &Operation,
        what: &str,
        before: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let after = fingerprint(&self.shop).await;
        let changed: Vec<_> =
            after.iter().filter(|table| !before.contains(table)).map(|(name, _)| name).collect();
        if !changed.is_empty() {
            self.faults.push(format!("{}, {what}: was refused and changed {changed:?}", operation.id));
        }
        after
    }

    async fn finish(self) {
        assert!(self.sent > 100, "the walk sent only {} requests", self.sent);
        let count = self.faults.len();
        assert!(self.faults.is_empty(), "{count} faults in {} answers: {:#?}", self.sent, self.faults);
        // The walk is about what is refused; what some of it may have bought is checked as ever.
        self.shop.database.finish().await;
    }
}

fn unexpected(got: &Got, expected: &Expected) -> Option<String> {
    let status = got.status.as_u16();
    let place = match expected {
        Expected::Refused(statuses, _) if !statuses.contains(&status) => {
            return Some(format!("answered {status} instead of {statuses:?}: {}", shortened(&got.text)));
        }
        Expected::Refused(_, place) => place.as_ref()?,
        Expected::Anything(place) => place.as_ref()?,
    };
    let document: Value = serde_json::from_str(&got.text).unwrap_or_default();
    if !["validation_failed", "invalid_parameter"].contains(&document["code"].as_str()?) {
        return None;
    }
    let errors = document["errors"].as_array().cloned().unwrap_or_default();
    let named = |error: &Value| {
        let name = error["pointer"].as_str().or(error["parameter"].as_str());
        name.is_some_and(|name| {
            name == place || (!place.is_empty() && name.starts_with(&format!("{place}/")))
        })
    };
    let nowhere = || format!("does not point at {place:?}: {}", shortened(&got.text));
    (!errors.iter().any(named)).then(nowhere)
}

fn shortened(text: &str) -> String {
    text.chars().take(400).collect()
}

/// A request to an operation as it should be, but for what is changed.
#[derive(Clone)]
struct Draft<'a> {
    world: &'a World,
    operation: &'a Operation,
    credential: Option<&'a Credential>,
}

impl<'a> Draft<'a> {
    fn new(world: &'a World, operation: &'a Operation) -> Self {
        Self { world, operation, credential: world.caller_of(operation) }
    }

    fn at(&self, path: &str) -> Ask {
        let ask = ask(self.operation.method.clone(), path);
        match self.credential {
            Some((name, value)) => ask.header(name, value),
            None => ask,
        }
    }

    /// With path, credential and key, without a query and a body.
    fn bare(&self) -> Ask {
        self.keyed(self.at(&self.path()))
    }

    fn keyed(&self, ask: Ask) -> Ask {
        if !self.operation.has_parameter("Idempotency-Key") {
            return ask;
        }
        ask.header("Idempotency-Key", &Uuid::now_v7().to_string())
    }

    /// With the parameters that must be there.
    fn path(&self) -> String {
        let path = self.world.path(&self.operation.path, self.credential, None);
        let required: Vec<String> = self
            .operation
            .parameters_in("query")
            .filter(|parameter| parameter.required)
            .map(|parameter| format!("{}={}", parameter.name, self.query_value(parameter)))
            .collect();
        if required.is_empty() { path } else { format!("{path}?{}", required.join("&")) }
    }

    fn query_value(&self, parameter: &Parameter) -> String {
        match parameter.name.as_str() {
            "order_id" => self.world.path_value("orders", self.credential),
            _ => "1".to_owned(),
        }
    }

    /// With the body of the spec's example, or a form as it should be.
    fn with_body(&self, ask: Ask) -> Ask {
        match &self.operation.body {
            Some(body) if body.is_json() => ask.json(&self.body()),
            Some(body) if body.content_type == "multipart/form-data" => {
                ask.form("x", &[("file", Some("a.png"), &encoded(&picture(1, 1), ImageFormat::Png))])
            }
            _ => ask,
        }
    }

    /// The body of the spec's example.
    fn body(&self) -> Value {
        self.operation.body.as_ref().map(|body| self.world.body(&body.example)).unwrap_or_default()
    }
}

const MALFORMED: Expected = Expected::Refused(&[400], None);

/// Bodies that are wrong as a whole.
fn whole_bodies(draft: &Draft) -> Vec<Attack> {
    let Some(body) = &draft.operation.body else { return bodies_nobody_asked_for(draft) };
    let right = body.content_type.as_str();
    let mut attacks = Vec::new();
    let mut attack =
        |what: &str, ask: Ask, expected| attacks.push(Attack { what: what.to_owned(), ask, expected });
    attack("no body and no type", draft.bare(), Expected::Refused(&[415], None));
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
    let too_large = format!("\"{}\"", "x".repeat(commerce_api::body::JSON_BYTES_MAX));
    attack("too large", typed(too_large.into()), Expected::Refused(&[413], None));
    let mut unknown = draft.body();
    unknown["no/such~field"] = json!(1);
    let pointer = Some("/no~1such~0field".to_owned());
    attack("an unknown field", draft.bare().json(&unknown), Expected::Refused(&[422], pointer));
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

/// Percent-encoded, as a client would have to write them.
const ODD_PATHS: [&str; 14] = [
    "not-a-uuid",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-fffffffffffg",
    "%00",
    "a%00b",
    "%ff%fe",
    "%F0%9F%A6%80",
    "%2e%2e",
    "..%2f..%2fetc",
    "%20",
    "'%20OR%201=1",
    "%25",
    "-1",
    "9223372036854775808",
];

fn wrong_path_parameters(draft: &Draft) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let long = "x".repeat(6_000);
    for (index, parameter) in draft.operation.parameters_in("path").enumerate() {
        let exact = parameter.schema["format"] == "uuid";
        for odd in ODD_PATHS.iter().copied().chain([long.as_str()]) {
            let path = draft.world.path(&draft.operation.path, draft.credential, Some((index, odd)));
            let place = Some(parameter.name.clone());
            let unheard_of = odd.starts_with("00000000-");
            let expected = match (exact, unheard_of) {
                (true, false) => Expected::Refused(&[400, 404], place),
                (_, true) => Expected::Anything(None),
                (false, false) => Expected::Refused(&[400, 404, 409], None),
            };
            let ask = draft.keyed(draft.at(&path));
            let ask = if draft.operation.body.is_some() { ask.json(&draft.body()) } else { ask };
            // A body of another type is refused before the path's own meaning is known.
            let is_json = draft.operation.body.as_ref().is_none_or(|body| body.is_json());
            let expected = if is_json { expected } else { Expected::Anything(None) };
            attacks.push(Attack {
                what: format!("{{{}}} = {}", parameter.name, &odd[..odd.len().min(40)]),
                ask,
                expected,
            });
        }
    }
    attacks
}

/// Query values that a parameter with this schema must refuse (`true`), or may take.
fn wrong_query_values(schema: &Value) -> Vec<(String, bool)> {
    // A parameter that may be repeated is sent once here.
    let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
    let text = |text: &str, refused| (text.to_owned(), refused);
    let mut values = vec![
        text("%00", true),
        text("a%00b", true),
        text("%ff", false),
        text("", false),
        text("%F0%9F%A6%80", false),
    ];
    let refuses_words =
        schema["type"] != "string" || schema.get("enum").is_some() || schema.get("format").is_some();
    for word in ["abc", "%27%20OR%201%3D1--", "%25", "%5C", "null", "-", "1,2", "%5B%5D"] {
        values.push(text(word, refuses_words));
    }
    values.push((
        "x".repeat(5_000),
        refuses_words || schema["maxLength"].as_u64().is_some_and(|max| max < 5_000),
    ));
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (_, Some("uuid")) => values.push(text("00000000-0000-0000-0000-000000000000", false)),
        (Some("integer"), _) => {
            let outside = |value: f64| {
                schema["minimum"].as_f64().is_some_and(|min| value < min)
                    || schema["maximum"].as_f64().is_some_and(|max| value > max)
            };
            for number in ["0", "-1", "101", "9223372036854775807", "-9223372036854775808"] {
                values.push(text(number, outside(number.parse().unwrap())));
            }
            for number in ["1.5", "1e3", "9223372036854775808", "0x10", "%2B", "1%20"] {
                values.push(text(number, true));
            }
        }
        (Some("string"), Some("date-time")) => {
            for date in ["2026-02-30T00:00:00Z", "2026-01-01", "10:00", "2026-01-01T25:00:00Z", "0"] {
                values.push(text(date, true));
            }
            // Written right, but beyond what the database counts.
            for date in [
                "-262143-01-01T00:00:00Z",
                "%2B262142-12-31T23:59:59Z",
                "0000-01-01T00:00:00Z",
                "9999-12-31T23:59:60Z",
            ] {
                values.push(text(date, false));
            }
        }
        _ => {}
    }
    values
}

fn wrong_query_parameters(draft: &Draft) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let separator = |path: &str| if path.contains('?') { '&' } else { '?' };
    let send = |path: &str| {
        let ask = draft.keyed(draft.at(path));
        let json = draft.operation.body.as_ref().is_some_and(|body| body.is_json());
        if json { ask.json(&draft.body()) } else { ask }
    };
    let is_json = draft.operation.body.as_ref().is_none_or(|body| body.is_json());
    for parameter in draft.operation.parameters_in("query") {
        let name = &parameter.name;
        let path = draft.world.path(&draft.operation.path, draft.credential, None);
        let mut values = wrong_query_values(&parameter.schema);
        if name == "cursor" {
            values.extend(wrong_cursors());
        }
        for (value, refused) in values {
            let place = Some(name.clone());
            let expected =
                if refused && is_json { Expected::Refused(&[400], place) } else { Expected::Anything(place) };
            let what = format!("?{name}={}", &value[..value.len().min(60)]);
            attacks.push(Attack { what, ask: send(&format!("{path}?{name}={value}")), expected });
        }
        if parameter.required && is_json {
            let expected = Expected::Refused(&[400], Some(name.clone()));
            attacks.push(Attack { what: format!("no {name}"), ask: send(&path), expected });
        }
        let twice = format!("{}{}{name}=1&{name}=2", draft.path(), separator(&draft.path()));
        attacks.push(Attack {
            what: format!("{name} twice"),
            ask: send(&twice),
            expected: Expected::Anything(Some(name.clone())),
        });
    }
    let noise = format!("{}{}no_such_parameter=1&=&&a[b]=%zz", draft.path(), separator(&draft.path()));
    attacks.push(Attack {
        what: "noise in the query".to_owned(),
        ask: send(&noise),
        expected: Expected::Anything(None),
    });
    attacks
}

/// Cursors that nobody issued: rubbish, and well-formed ones with keys of every kind under every sort.
fn wrong_cursors() -> Vec<(String, bool)> {
    use base64::Engine as _;
    let encode = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let mut cursors: Vec<(String, bool)> =
        ["x", "e30", "bnVsbA", "!!!", "AAAA", "W10"].iter().map(|text| ((*text).to_owned(), true)).collect();
    let keys = [
        json!(null),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!("a\0"),
        json!("x"),
        json!([]),
        json!({}),
        json!("-262143-01-01T00:00:00Z"),
        json!("+262142-12-31T23:59:59Z"),
        json!([0.5, 1]),
        json!(true),
        json!("2026-01-01T00:00:00Z"),
    ];
    let sorts = [
        "placed_at",
        "-placed_at",
        "total",
        "-total",
        "created_at",
        "-created_at",
        "price",
        "-price",
        "title",
        "-title",
        "position",
        "name",
        "id",
        "-id",
        "",
        "newest",
    ];
    for sort in sorts {
        for key in &keys {
            let id = Uuid::now_v7();
            cursors.push((encode(&json!({ "sort": sort, "key": key, "id": id })), false));
        }
    }
    cursors
}

fn wrong_headers(draft: &Draft) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let path = draft.path();
    let unnamed = || ask(draft.operation.method.clone(), &path);
    let mut attack =
        |what: String, ask: Ask, expected| attacks.push(Attack { what, ask: draft.with_body(ask), expected });
    if draft.operation.has_parameter("Idempotency-Key") && draft.credential.is_some() {
        let place = || Some("Idempotency-Key".to_owned());
        for key in ["", " ", "\"\"", &"k".repeat(256), "é\u{80}", "\u{ff}"] {
            let ask = draft.at(&path).header("Idempotency-Key", key);
            let what = format!("Idempotency-Key {}", key.chars().take(10).collect::<String>());
            attack(what, ask, Expected::Refused(&[400], place()));
        }
        let twice = draft.at(&path).header("Idempotency-Key", "a").header("Idempotency-Key", "b");
        attack("two keys".to_owned(), twice, Expected::Refused(&[400], place()));
    }
    if draft.operation.has_parameter("If-Match") {
        for tag in ["", "x", "1", "\"", "\"\"", "\"x\"", "W/\"1\"", "\"99999999999999999999\"", "\"-1\"", "é"]
        {
            let refused: &[u16] = &[400, 404, 412];
            attack(
                format!("If-Match {tag}"),
                draft.bare().header("If-Match", tag),
                Expected::Refused(refused, None),
            );
        }
    }
    for credential in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "bearer x.y.z",
        "Bearer é",
        "x",
        &format!("Bearer {}", "a".repeat(5_000)),
    ] {
        let refused = if draft.operation.schemes.is_empty() {
            Expected::Anything(None)
        } else {
            Expected::Refused(&[401], None)
        };
        let what = format!("Authorization {}", credential.chars().take(12).collect::<String>());
        attack(what, unnamed().header("Authorization", credential), refused);
    }
    if draft.operation.accepts("cart_token") {
        for token in ["", "short", &"t".repeat(129), "éééééééééééééééé"] {
            let place = Some("Cart-Token".to_owned());
            let what = format!("Cart-Token {}", token.chars().take(10).collect::<String>());
            attack(what, unnamed().header("Cart-Token", token), Expected::Refused(&[400], place));
        }
    }
    for (name, value) in [
        ("Accept", "application/xml"),
        ("Accept-Encoding", "nonsense;q=9"),
        ("If-None-Match", "\"\"\",W/,*"),
        ("X-Request-Id", "é"),
        ("traceparent", "00-x-y-z"),
        ("Range", "bytes=0-1"),
        ("Expect", "nonsense"),
        ("X-HTTP-Method-Override", "DELETE"),
    ] {
        attack(format!("{name}: {value}"), draft.bare().header(name, value), Expected::Anything(None));
    }
    attacks
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_and_header() {
    let mut walk = Walk::new().await;
    for operation in walk.surface.operations() {
        let world = World::new(&walk.shop).await;
        let draft = Draft::new(&world, &operation);
        let mut attacks = wrong_path_parameters(&draft);
        attacks.extend(wrong_query_parameters(&draft));
        attacks.extend(wrong_headers(&draft));
        walk.send(&operation, attacks).await;
    }
    walk.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_sort_or_list_is_refused() {
    let shop = TestShop::new().await;
    let surface = Surface::read();
    let world = World::new(&shop).await;
    World::new(&shop).await;
    let mut tried = 0;
    for operation in surface.operations().iter().filter(|operation| operation.has_parameter("cursor")) {
        let draft = Draft::new(&world, operation);
        let Some(sorts) = operation.parameters_in("query").find(|parameter| parameter.name == "sort") else {
            continue;
        };
        let sorts = sorts.schema["enum"].as_array().unwrap().clone();
        let sorts: Vec<&str> = sorts.iter().map(|sort| sort.as_str().unwrap()).collect();
        let page = |sort: &str, more: &str| draft.bare_at(&format!("?sort={sort}&limit=1{more}"));
        for sort in &sorts {
            let Some(cursor) =
                shop.send(page(sort, "")).await.json()["next_cursor"].as_str().map(str::to_owned)
            else {
                continue;
            };
            for other in sorts.iter().filter(|other| *other != sort) {
                shop.send(page(other, &format!("&cursor={cursor}"))).await.problem(400, "invalid_cursor");
                tried += 1;
            }
            assert_eq!(shop.send(page(sort, &format!("&cursor={cursor}"))).await.status, 200);
        }
    }
    assert!(tried > 0, "no list had a second page");
    shop.database.finish().await;
}

impl Draft<'_> {
    fn bare_at(&self, query: &str) -> Ask {
        self.at(&format!("{}{query}", self.world.path(&self.operation.path, self.credential, None)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_method_and_path() {
    let shop = TestShop::new().await;
    let world = World::new(&shop).await;
    let before = fingerprint(&shop).await;
    let mut faults = Vec::new();
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"];
    for (template, known) in Surface::read().paths() {
        let path = world.path(&template, None, None);
        let mut allowed: Vec<String> = known.iter().map(Method::to_string).collect();
        if allowed.contains(&"GET".to_owned()) {
            allowed.push("HEAD".to_owned());
        }
        allowed.sort();
        for method in methods.iter().filter(|method| !allowed.contains(&(**method).to_owned())) {
            let got = shop.send(ask(method.parse().unwrap(), &path)).await;
            // A path that is also that of another template may have the method there.
            let mut wrong = form_faults(&got);
            let mut listed: Vec<&str> = got.header("allow").unwrap_or_default().split(", ").collect();
            listed.sort_unstable();
            if got.status != 405 || !allowed.iter().all(|method| listed.contains(&method.as_str())) {
                wrong.push(format!("{} with Allow {listed:?}", got.status));
            }
            faults.extend(wrong.into_iter().map(|fault| format!("{method} {template}: {fault}")));
        }
        if allowed.contains(&"HEAD".to_owned()) {
            let (whole, head) =
                (shop.send(ask(Method::GET, &path)).await, shop.send(ask(Method::HEAD, &path)).await);
            if whole.status != head.status {
                faults.push(format!("HEAD {template}: {} where GET is {}", head.status, whole.status));
            }
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/products",
        "/v1/no-such-thing",
        "/v1/cart/items/",
        "/v1//cart",
        "/v1/cart/",
        "/v1/%00",
        "/%ff",
        "/docs/../etc/passwd",
        "/docs/x",
        "/V1/cart",
        "/v1/orders/a/b/c",
        "/.env",
        "/problems/%00",
        "/problems/",
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let got = shop.send(ask(method.parse().unwrap(), path)).await;
            faults.extend(form_faults(&got).into_iter().map(|fault| format!("{method} {path}: {fault}")));
            let known = path.starts_with("/problems/") && method != "GET";
            if !known && ![404, 400].contains(&got.status.as_u16()) {
                faults.push(format!("{method} {path}: {}", got.status));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(fingerprint(&shop).await, before);
    shop.database.finish().await;
}
