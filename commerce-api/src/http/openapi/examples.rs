//! Puts examples where tools look for them.

use serde_yaml::Value;

/// Copies the example of a body's schema to the body, where every tool finds it.
pub fn add_examples(body: &mut Value, schemas: &Value) {
    let Some(content) = body.get_mut("content").and_then(Value::as_mapping_mut) else { return };
    for (_, media) in content.iter_mut() {
        let Some(schema) = media.get("schema") else { continue };
        let target = schema.get("$ref").and_then(Value::as_str);
        let name = target.and_then(|target| target.strip_prefix("#/components/schemas/"));
        let schema = name.and_then(|name| schemas.get(name)).unwrap_or(schema);
        let example = schema.get("example").cloned();
        if let (Some(example), Some(media)) = (example, media.as_mapping_mut()) {
            media.insert("example".into(), example);
        }
    }
}
