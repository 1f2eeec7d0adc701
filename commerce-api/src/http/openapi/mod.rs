//! The spec: what poem-openapi derives from the handlers, completed with what the handlers cannot express.
//!
//! - Each operation names its permission beside the one `bearer` scheme. With a scheme for each permission,
//!   Swagger UI would ask for a token for each.
//! - Every error response lists its codes: those of the use case, and those that follow from the form of the
//!   operation (a body, parameters, a credential, an Idempotency-Key).
//! - Bodies are closed (`additionalProperties: false`), as the server enforces.

mod examples;
mod responses;

use std::collections::BTreeSet;
use std::marker::PhantomData;

use poem_openapi::{OpenApi, OpenApiService};
use serde_yaml::{Mapping, Value};

use self::examples::add_examples;
use crate::http::route_table::BASE;
use crate::http::security_schemes::{BEARER_SCHEME, CART_TOKEN_SCHEME, SESSION_COOKIE_SCHEME};
use crate::http::tag::CHAPTERS;

/// The finished document.
pub struct Document(Value);

impl Document {
    pub fn yaml(&self) -> String {
        serde_yaml::to_string(&self.0).unwrap_or_default()
    }

    pub fn json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

const DESCRIPTION: &str = "\
The API of a shop: catalogue, carts, checkout, payments and orders.

- Amounts are whole minor units, such as cents.
- Lists are paged with `cursor`.
- Every error is a problem document (RFC 9457) with a stable `code`.
- A POST with an `Idempotency-Key` can be repeated safely: it takes effect once.";

/// The spec of an API. It is derived from the handlers' types alone, so no server has to run.
pub fn document<Api: OpenApi>() -> Document {
    let service = OpenApiService::new(TypesOnly::<Api>(PhantomData), "commerce", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .server(BASE);
    let mut root: Value = serde_yaml::from_str(&service.spec_yaml()).unwrap_or_default();
    finish(&mut root);
    Document(root)
}

/// Stands for the routes if only their types are needed.
struct TypesOnly<Api>(PhantomData<fn() -> Api>);

impl<Api: OpenApi> OpenApi for TypesOnly<Api> {
    fn meta() -> Vec<poem_openapi::registry::MetaApi> {
        Api::meta()
    }

    fn register(registry: &mut poem_openapi::registry::Registry) {
        Api::register(registry);
    }

    fn add_routes(self, _: &mut Handlers) {}
}

type Handlers = std::collections::HashMap<
    String,
    std::collections::HashMap<poem::http::Method, poem::endpoint::BoxEndpoint<'static>>,
>;

/// Swagger UI, with this document inside the page and without requests to other servers.
pub fn swagger_ui(document: &Document) -> String {
    let placeholder = OpenApiService::new((), "placeholder", "0");
    // A `<` could end the script element that contains the document.
    let json = document.json().replace('<', "\\u003c");
    placeholder
        .swagger_ui_html()
        .replace(&placeholder.spec(), &json)
        .replace(
            "<title>Swagger UI</title>",
            "<title>commerce API</title><link rel=\"icon\" href=\"data:,\">",
        )
        .replace(
            "deepLinking: true,",
            "deepLinking: true, persistAuthorization: true, tryItOutEnabled: true,",
        )
}

/// Every operation uses problem documents, though no handler names their type.
fn problem_schemas() -> Mapping {
    use poem_openapi::types::Type as _;
    let mut registry = poem_openapi::registry::Registry::new();
    crate::http::problem::ProblemDocument::register(&mut registry);
    match serde_yaml::to_value(&registry.schemas) {
        Ok(Value::Mapping(schemas)) => schemas,
        _ => Mapping::new(),
    }
}

fn finish(root: &mut Value) {
    let schemas = root.get("components").and_then(|components| components.get("schemas")).cloned();
    let schemas = schemas.unwrap_or_default();
    let mut request_schemas = BTreeSet::new();
    for (changes, operation) in operations(root) {
        if let Some(body) = operation.get_mut("requestBody") {
            // A form has no null, and its fields are checked by hand.
            let json = body.get("content").and_then(|content| content.get("application/json"));
            gather(json.unwrap_or(&Value::Null), &schemas, &mut request_schemas);
            add_examples(body, &schemas);
        }
        name_permission(operation);
        responses::write_out(operation, changes, &schemas);
    }
    if let Some(components) = root.get_mut("components") {
        if let Some(Value::Mapping(all)) = components.get_mut("schemas") {
            all.extend(problem_schemas());
        }
        if let Some(components) = components.as_mapping_mut() {
            components.insert("responses".into(), responses::shared());
        }
        if let Some(Value::Mapping(schemes)) = components.get_mut("securitySchemes") {
            let bearer =
                schemes.iter().find(|(_, scheme)| scheme.get("scheme").is_some()).map(|(_, s)| s.clone());
            let lasting = [Some(CART_TOKEN_SCHEME), Some(SESSION_COOKIE_SCHEME)];
            schemes.retain(|name, _| lasting.contains(&name.as_str()));
            schemes.insert(BEARER_SCHEME.into(), bearer.unwrap_or_default());
        }
        for name in &request_schemas {
            if let Some(Value::Mapping(schema)) =
                components.get_mut("schemas").and_then(|all| all.get_mut(name))
                && schema.contains_key("properties")
                && !schema.contains_key("additionalProperties")
            {
                schema.insert("additionalProperties".into(), false.into());
            }
            if let Some(schema) = components.get_mut("schemas").and_then(|all| all.get_mut(name)) {
                allow_null(schema);
            }
        }
        if let Some(Value::Mapping(all)) = components.get_mut("schemas") {
            for (_, list) in all.iter_mut().filter(|(name, _)| list_name((*name).clone()) != **name) {
                always_there(list, "next_cursor");
            }
            let renamed = std::mem::take(all).into_iter().map(|(name, mut schema)| {
                let name = list_name(name);
                if let Some(title) = schema.get_mut("title") {
                    *title = name.clone();
                }
                (name, schema)
            });
            *all = renamed.collect();
        }
    }
    if let Some(Value::Sequence(chapters)) = root.get_mut("tags") {
        let place = |chapter: &Value| {
            let name = chapter.get("name").and_then(Value::as_str);
            CHAPTERS.iter().position(|known| Some(*known) == name).unwrap_or(usize::MAX)
        };
        chapters.sort_by_key(place);
    }
    tidy(root);
}

/// In a request, null means the same as leaving a field out. So every optional field may be null.
fn allow_null(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_sequence).cloned().unwrap_or_default();
    let Some(fields) = schema.get_mut("properties").and_then(Value::as_mapping_mut) else { return };
    for (_, field) in fields.iter_mut().filter(|(name, _)| !required.contains(name)) {
        let Some(field) = field.as_mapping_mut() else { continue };
        // A reference must stand alone.
        if let Some(reference) = field.remove("$ref") {
            let reference = Mapping::from_iter([("$ref".into(), reference)]);
            field.insert("allOf".into(), Value::Sequence(vec![reference.into()]));
        }
        field.insert("nullable".into(), true.into());
    }
}

/// A field of an answer that may be null but is never left out.
fn always_there(schema: &mut Value, name: &str) {
    if let Some(field) =
        schema.get_mut("properties").and_then(|fields| fields.get_mut(name)?.as_mapping_mut())
    {
        field.insert("nullable".into(), true.into());
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_sequence_mut) {
        required.push(name.into());
    }
}

/// `List_Order` becomes `OrderList`.
fn list_name(name: Value) -> Value {
    let renamed = name.as_str().and_then(|text| Some(format!("{}List", text.strip_prefix("List_")?)));
    renamed.map_or(name, Value::from)
}

/// Removes what client generators fail on: a part of `allOf` that only repeats the description beside it.
fn tidy(value: &mut Value) {
    match value {
        Value::Mapping(fields) => {
            if let Some(Value::Sequence(parts)) = fields.get_mut("allOf") {
                parts.retain(|part| part.get("$ref").is_some() || part.get("type").is_some());
            }
            for (name, value) in fields.iter_mut() {
                let target = value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/"));
                if let (Some("$ref"), Some(target)) = (name.as_str(), target) {
                    let target = list_name(target.into());
                    *value = format!("#/components/schemas/{}", target.as_str().unwrap_or_default()).into();
                } else {
                    tidy(value);
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation, and whether its method can change something.
fn operations(root: &mut Value) -> impl Iterator<Item = (bool, &mut Mapping)> {
    let paths = root.get_mut("paths").and_then(Value::as_mapping_mut).map(Mapping::iter_mut);
    paths
        .into_iter()
        .flatten()
        .filter_map(|(_, path)| path.as_mapping_mut())
        .flat_map(Mapping::iter_mut)
        .filter(|(method, _)| method.as_str().is_some_and(|method| METHODS.contains(&method)))
        .filter_map(|(method, operation)| Some((method.as_str() != Some("get"), operation.as_mapping_mut()?)))
}

/// Names of the schemas that a value refers to, directly or indirectly.
fn gather(value: &Value, schemas: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Mapping(fields) => {
            for (key, value) in fields {
                let name = value.as_str().and_then(|target| target.strip_prefix("#/components/schemas/"));
                match name {
                    Some(name) if key.as_str() == Some("$ref") => {
                        if found.insert(name.to_owned())
                            && let Some(schema) = schemas.get(name)
                        {
                            gather(schema, schemas, found);
                        }
                    }
                    _ => gather(value, schemas, found),
                }
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| gather(item, schemas, found)),
        _ => {}
    }
}

/// Replaces a scheme that is named after a permission with `bearer`, and puts the permission beside it.
fn name_permission(operation: &mut Mapping) {
    let Some(Value::Sequence(security)) = operation.get_mut("security") else { return };
    let mut permission = None;
    for requirement in security.iter_mut().filter_map(Value::as_mapping_mut) {
        let name = requirement.keys().next().and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = name.filter(|name| name.contains('.')) {
            requirement.clear();
            requirement.insert(BEARER_SCHEME.into(), Value::Sequence(Vec::new()));
            permission = Some(name);
        }
    }
    if let Some(permission) = permission {
        let said = operation.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = format!("{said}\n\nNeeds the permission `{permission}`.").trim().to_owned();
        operation.insert("description".into(), description.into());
        operation.insert("x-permission".into(), permission.into());
    }
}
