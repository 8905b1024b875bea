//! The JSON Schema of an answer: made from the Rust types, closed, without references, because model servers understand
//! different parts of JSON Schema.

use kubechat_crds::intent::{Action, Intent};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::parse::MAX_INTENTS;

/// What a model may answer: `{"intents": [..]}`; an empty list says that it did not understand.
#[must_use]
pub fn answer() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut intent = settings
        .into_generator()
        .into_root_schema_for::<Intent>()
        .to_value();
    tidy(&mut intent);
    if let Some(action) = intent.pointer_mut("/properties/action") {
        let names: Vec<&str> = Action::ALL
            .iter()
            .filter(|a| asked(**a))
            .map(|a| a.as_str())
            .collect();
        *action = json!({"type": "string", "enum": names});
    }
    // What a role grants is read from the cluster, never said; a manifest is read as it was pasted.
    if let Some(Value::Object(params)) = intent.pointer_mut("/properties/params/properties") {
        params.remove("grants");
        params.remove("manifest");
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["intents"],
        "properties": {"intents": {"type": "array", "maxItems": MAX_INTENTS, "items": intent}}
    })
}

/// Whether a model may understand a sentence as an action; recreating is what only a rollback does, and a manifest is applied
/// as it was pasted.
pub(crate) const fn asked(action: Action) -> bool {
    !matches!(action, Action::Recreate | Action::Apply)
}

/// Objects are closed, nullable things are optional things, and what only people read goes.
fn tidy(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for key in ["title", "default", "format", "$schema"] {
        map.remove(key);
    }
    if let Some(Value::Array(types)) = map.get("type") {
        let first = types.iter().find(|t| *t != "null").cloned();
        if let Some(first) = first {
            map.insert("type".to_owned(), first);
        }
    }
    // `anyOf: [X, null]` is X.
    if let Some(Value::Array(options)) = map.remove("anyOf") {
        let real = options
            .into_iter()
            .find(|o| o.get("type") != Some(&json!("null")));
        if let Some(Value::Object(real)) = real {
            map.extend(real);
        }
        map.remove("default");
    }
    if let Some(Value::Array(consts)) = map.remove("oneOf") {
        let names: Vec<Value> = consts.iter().filter_map(|c| c.get("const").cloned()).collect();
        map.insert("type".to_owned(), json!("string"));
        map.insert("enum".to_owned(), Value::Array(names));
    }
    if map.contains_key("properties") {
        map.insert("additionalProperties".to_owned(), json!(false));
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            tidy(inner);
        }
    }
}

/// The part that Gemini's `responseSchema` takes: an OpenAPI subset without closed objects and free maps.
pub(crate) fn for_gemini(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let free_map = map.get("additionalProperties").is_some_and(Value::is_object);
            let mut out = Map::new();
            for (key, value) in map {
                match key.as_str() {
                    "type" => {
                        let name = value.as_str().unwrap_or_default().to_ascii_uppercase();
                        out.insert(key.clone(), json!(name));
                    }
                    "properties" => {
                        let inner = value.as_object().into_iter().flatten();
                        // It has no maps; labels and quantities come from servers that do.
                        let inner = inner
                            .filter(|(_, v)| !v.get("additionalProperties").is_some_and(Value::is_object))
                            .map(|(k, v)| (k.clone(), for_gemini(v)));
                        out.insert(key.clone(), Value::Object(inner.collect()));
                    }
                    "items" => {
                        out.insert(key.clone(), for_gemini(value));
                    }
                    "maxItems" => {
                        out.insert(key.clone(), json!(value.to_string()));
                    }
                    "required" | "enum" | "description" | "minimum" | "maximum" => {
                        out.insert(key.clone(), value.clone());
                    }
                    _ => {}
                }
            }
            if free_map {
                out.insert("type".to_owned(), json!("OBJECT"));
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(schema: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
        match schema {
            Value::Object(map) => {
                look(map);
                map.values().for_each(|v| each(v, look));
            }
            Value::Array(list) => list.iter().for_each(|v| each(v, look)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_schema_is_closed_has_no_references_and_offers_neither_recreate_nor_apply() {
        let schema = answer();
        each(&schema, &mut |map| {
            assert!(
                !map.contains_key("$ref") && !map.contains_key("anyOf") && !map.contains_key("$defs"),
                "{map:?}"
            );
            if map.get("properties").is_some_and(Value::is_object) && map.contains_key("type") {
                assert_eq!(map.get("additionalProperties"), Some(&json!(false)), "{map:?}");
            }
        });
        let actions = schema
            .pointer("/properties/intents/items/properties/action/enum")
            .unwrap()
            .to_string();
        assert!(
            actions.contains("\"scale\"") && !actions.contains("recreate") && !actions.contains("\"apply\""),
            "{actions}"
        );
    }

    #[test]
    fn the_schema_offers_every_field_but_what_only_kubechat_knows() {
        let schema = answer();
        let params = schema
            .pointer("/properties/intents/items/properties/params/properties")
            .and_then(Value::as_object)
            .unwrap();
        assert!(
            params.contains_key("subjects")
                && params.contains_key("taints")
                && params.contains_key("envRefs")
        );
        assert!(
            !params.contains_key("grants") && !params.contains_key("manifest"),
            "{params:?}"
        );
    }

    #[test]
    fn geminis_schema_has_only_what_it_takes() {
        each(&for_gemini(&answer()), &mut |map| {
            assert!(
                !map.contains_key("additionalProperties") && !map.contains_key("maxLength"),
                "{map:?}"
            );
        });
    }
}
