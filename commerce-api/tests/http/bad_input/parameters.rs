//! Wrong parameters in paths and queries, and wrong headers.

use serde_json::{Value, json};
use uuid::Uuid;

use super::walk::{Attack, Draft, Expected, Walk};
use crate::shop::{Ask, TestShop, ask};
use crate::surface::Surface;
use crate::world::World;

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
