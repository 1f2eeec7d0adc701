//! The spec: checked in as generated, and complete for every operation.

use std::collections::BTreeMap;

use commerce_api::routes;
use commerce_core::catalog::limits;
use commerce_core::page::Limit;
use serde_json::Value;

use crate::shop::{TestShop, get};

#[test]
fn the_checked_in_spec_is_what_the_binary_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml");
    let checked_in = std::fs::read_to_string(file).unwrap();
    assert!(
        checked_in == routes::document().yaml(),
        "openapi.yaml is stale: run `cargo run -p commerce-api -- openapi > openapi.yaml`"
    );
}

/// Follows `$ref`.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => value,
    }
}

#[test]
fn every_operation_is_complete() {
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    let mut ids = std::collections::HashSet::new();
    let mut faults = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let place = format!("{method} {path}");
            let mut must = |holds: bool, what: &str| {
                if !holds {
                    faults.push(format!("{place}: {what}"));
                }
            };
            let id = operation["operationId"].as_str().unwrap_or_default();
            must(!id.is_empty() && ids.insert(id.to_owned()), "has no operationId of its own");
            must(id.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "operationId is not snake_case");
            must(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "has no summary");
            must(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "is not in one chapter");
            let secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            if path.starts_with("/admin/") {
                must(operation["x-permission"].is_string(), "names no permission");
            }
            let responses = operation["responses"].as_object().unwrap();
            let declares = |status: &str| responses.contains_key(status);
            must(declares("500") && declares("503"), "does not declare 500 and 503");
            must(!secured || declares("401"), "does not declare 401");
            must(operation["x-permission"].is_null() || declares("403"), "does not declare 403");
            if let Some(body) = operation.get("requestBody") {
                must(
                    ["400", "413", "415", "422"].iter().all(|status| declares(status)),
                    "lacks errors of its body",
                );
                let media = body["content"].as_object().unwrap().values().next().unwrap();
                must(
                    media.get("example").is_some() || media["schema"]["type"] == "string",
                    "has no example of its body",
                );
            }
            for (status, response) in responses {
                let response = resolve(&document, response);
                must(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "has a response without description",
                );
                let content = response["content"].as_object();
                if status.starts_with('2') && status != "204" {
                    let media = content.and_then(|content| content.values().next());
                    // A file, such as CSV, is its own example.
                    let is_file = media.is_some_and(|media| media["schema"]["type"] == "string");
                    let example = media.map(|media| &media["example"]);
                    must(
                        is_file || example.is_some_and(|example| !example.is_null()),
                        "has no example of its answer",
                    );
                } else if status.starts_with(['4', '5']) {
                    must(
                        content.is_some_and(|content| content.contains_key("application/problem+json")),
                        "has an error that is no problem document",
                    );
                    must(
                        response["x-codes"].as_array().is_some_and(|codes| !codes.is_empty()),
                        "has an error without codes",
                    );
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(!ids.is_empty(), "the walk found no operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_comes_from_the_binary_alone() {
    let shop = TestShop::new().await;
    for path in ["/docs", "/docs/"] {
        let page = shop.send(get(path)).await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("get_me") && page.text.contains("SwaggerUIBundle"));
        assert!(!page.text.contains("src=\"http") && !page.text.contains("href=\"http"));
        assert!(page.text.contains("persistAuthorization: true"));
    }
    let json = shop.send(get("/openapi.json")).await.json();
    assert_eq!(json["openapi"], "3.0.0");
    assert_eq!(shop.send(get("/openapi.yaml")).await.text, routes::document().yaml());
    let jwks = shop.send(get("/.well-known/jwks.json")).await.json();
    assert_eq!(jwks["keys"][0]["alg"], "EdDSA");
    shop.database.finish().await;
}

/// The bounds stand in the spec as literals, and in core as a number.
#[test]
fn stock_is_adjusted_by_at_most_what_core_allows() {
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    let delta = &document["components"]["schemas"]["AdjustStockRequest"]["properties"]["delta"];
    let most = commerce_core::inventory::ON_HAND_MAX as f64;
    assert_eq!((delta["minimum"].as_f64(), delta["maximum"].as_f64()), (Some(-most), Some(most)), "{delta}");
}

/// A limit is written once, in core; the spec must say the same, since its generator takes numbers alone.
#[test]
fn a_cart_takes_as_many_units_as_core_allows() {
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    for name in ["CartItemRequest", "QuantityRequest"] {
        let quantity = &document["components"]["schemas"][name]["properties"]["quantity"];
        assert_eq!(quantity["maximum"].as_f64(), Some(commerce_core::cart::QUANTITY_MAX as f64), "{name}");
        assert_eq!(quantity["minimum"].as_f64(), Some(1.0), "{name}");
    }
}

/// The limits of this document on parameters and on fields of request bodies, by operation or schema and name.
fn upper_limits(document: &Value) -> BTreeMap<String, f64> {
    let limit_of =
        |schema: &Value| ["maxLength", "maxItems", "maximum"].iter().find_map(|key| schema[*key].as_f64());
    let mut limits = BTreeMap::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            limits.extend(limit_of(schema).map(|max| (format!("{name}.{field}"), max)));
        }
    }
    for operation in
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap())
    {
        let (_, operation) = operation;
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = format!(
                "{}({})",
                operation["operationId"].as_str().unwrap(),
                parameter["name"].as_str().unwrap()
            );
            limits.extend(limit_of(&parameter["schema"]).map(|max| (name, max)));
        }
    }
    limits
}

/// The attributes that write a limit into the spec take literals only, so this compares them with core's.
#[test]
fn limits_of_the_catalogue_are_those_of_core() {
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    let mut found = upper_limits(&document);
    let mut expected = BTreeMap::new();
    for request in ["CreateProductRequest", "ReplaceProductRequest", "UpdateProductRequest"] {
        for (field, max) in [
            ("title", limits::TITLE_CHARS_MAX),
            ("slug", limits::PRODUCT_SLUG_CHARS_MAX),
            ("description", limits::DESCRIPTION_BYTES_MAX),
            ("category_ids", limits::CATEGORIES_PER_PRODUCT_MAX),
            ("vendor", limits::VENDOR_CHARS_MAX),
            ("tags", limits::TAGS_PER_PRODUCT_MAX),
            ("option_names", limits::OPTIONS_PER_PRODUCT_MAX),
            ("images", limits::IMAGES_PER_PRODUCT_MAX),
            ("sku", limits::SKU_CHARS_MAX),
        ] {
            expected.insert(format!("{request}.{field}"), max);
        }
    }
    for request in ["CreateCategoryRequest", "UpdateCategoryRequest"] {
        for (field, max) in [
            ("title", limits::CATEGORY_TITLE_CHARS_MAX),
            ("slug", limits::CATEGORY_SLUG_CHARS_MAX),
            ("description", limits::CATEGORY_DESCRIPTION_BYTES_MAX),
        ] {
            expected.insert(format!("{request}.{field}"), max);
        }
    }
    for (name, max) in [
        ("CreateProductRequest.variants", limits::VARIANTS_PER_PRODUCT_MAX),
        ("CreateVariantMatrixRequest.options", limits::OPTIONS_PER_PRODUCT_MAX),
        ("CreateVariantRequest.sku", limits::SKU_CHARS_MAX),
        ("UpdateVariantRequest.sku", limits::SKU_CHARS_MAX),
        ("CreateVariantRequest.barcode", limits::BARCODE_CHARS_MAX),
        ("UpdateVariantRequest.barcode", limits::BARCODE_CHARS_MAX),
        ("CreateVariantRequest.image_url", limits::IMAGE_URL_BYTES_MAX),
        ("UpdateVariantRequest.image_url", limits::IMAGE_URL_BYTES_MAX),
        ("CreateVariantRequest.weight_grams", limits::WEIGHT_GRAMS_MAX as usize),
        ("UpdateVariantRequest.weight_grams", limits::WEIGHT_GRAMS_MAX as usize),
        ("VariantOption.name", limits::OPTION_NAME_CHARS_MAX),
        ("VariantOption.values", limits::VARIANTS_PER_PRODUCT_MAX),
        ("ImageLink.url", limits::IMAGE_URL_BYTES_MAX),
        ("ImageLink.alt", limits::IMAGE_ALT_CHARS_MAX),
        ("UpdateImageRequest.alt", limits::IMAGE_ALT_CHARS_MAX),
        ("UploadImageRequest.alt", limits::IMAGE_ALT_CHARS_MAX),
        ("list_products(q)", limits::QUERY_CHARS_MAX),
        ("admin_list_products(q)", limits::QUERY_CHARS_MAX),
        ("search_products(q)", limits::QUERY_CHARS_MAX),
        ("list_products(category)", limits::CATEGORY_SLUG_CHARS_MAX),
        ("admin_list_products(category)", limits::CATEGORY_SLUG_CHARS_MAX),
        ("list_categories(parent)", limits::CATEGORY_SLUG_CHARS_MAX),
    ] {
        expected.insert(name.to_owned(), max);
    }
    // Every list has pages of the same size.
    for name in found.keys().filter(|name| name.ends_with("(limit)")) {
        expected.insert(name.clone(), usize::from(Limit::MAX));
    }
    found.retain(|name, _| expected.contains_key(name));
    let expected = expected.into_iter().map(|(name, max)| (name, f64::from(u32::try_from(max).unwrap())));
    assert_eq!(found, expected.collect());
}

#[test]
fn limits_of_locations_and_messages_are_those_of_core() {
    use commerce_core::{contact, inventory};
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    let found = upper_limits(&document);
    for (name, max) in [
        ("CreateStockLocationRequest.code", inventory::LOCATION_CODE_CHARS_MAX),
        ("CreateStockLocationRequest.name", inventory::LOCATION_NAME_CHARS_MAX),
        ("UpdateStockLocationRequest.code", inventory::LOCATION_CODE_CHARS_MAX),
        ("UpdateStockLocationRequest.name", inventory::LOCATION_NAME_CHARS_MAX),
        ("ContactMessageRequest.name", contact::NAME_CHARS_MAX),
        ("ContactMessageRequest.message", contact::MESSAGE_CHARS_MAX),
        ("UpdateContactMessageRequest.note", contact::NOTE_CHARS_MAX),
        ("TransferLine.quantity", usize::try_from(inventory::ON_HAND_MAX).unwrap()),
        ("UpdateVariantStockRequest.low_stock_threshold", usize::try_from(inventory::ON_HAND_MAX).unwrap()),
    ] {
        assert_eq!(found.get(name), Some(&f64::from(u32::try_from(max).unwrap())), "{name}");
    }
}

#[test]
fn a_cart_takes_as_many_items_as_core_allows() {
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    let schemas = &document["components"]["schemas"];
    let items = &schemas["ReplaceCartRequest"]["properties"]["items"];
    assert_eq!(items["maxItems"].as_u64(), Some(commerce_core::cart::ITEMS_MAX as u64), "{items}");
    let quantity = &schemas["QuantityRequest"]["properties"]["quantity"];
    assert_eq!(quantity["maximum"].as_f64(), Some(commerce_core::cart::QUANTITY_MAX as f64), "{quantity}");
}

#[test]
fn a_password_is_as_long_as_core_allows() {
    use commerce_core::accounts::NewPassword;
    let document: Value = serde_json::from_str(&routes::document().json()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut checked = 0;
    for (name, schema) in schemas {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            // One that is to be set, and one that is compared with what was set before.
            let is_set = field == "new_password"
                || (name, field.as_str()) == (&"RegisterRequest".to_owned(), "password");
            if !is_set && !field.ends_with("password") {
                continue;
            }
            checked += 1;
            let least = if is_set { NewPassword::CHARS_MIN } else { 1 };
            assert_eq!(property["minLength"].as_u64(), Some(least as u64), "{name}.{field}");
            assert_eq!(property["maxLength"].as_u64(), Some(NewPassword::CHARS_MAX as u64), "{name}.{field}");
        }
    }
    assert!(checked >= 7, "{checked}");
    let page = include_str!("../../src/resources/accounts/reset_page/page.html");
    let limits = format!("minlength=\"{}\" maxlength=\"{}\"", NewPassword::CHARS_MIN, NewPassword::CHARS_MAX);
    assert!(page.contains(&limits), "{limits}");
}
