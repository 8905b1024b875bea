//! A model's words, read strictly: one JSON object of the schema and nothing else.

use kubechat_crds::intent::Intent;
use serde_json::Value;

use crate::schema;

/// Intents of an answer at most.
pub const MAX_INTENTS: usize = 16;
/// Bytes of a model's words at most.
const MAX_WORDS: usize = 256 * 1024;

/// Why a model's words are no intents. The texts go back to the model for its one repair; they name fields, not values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Prose, Markdown, or several things.
    #[error("it is not exactly one JSON object: leave out everything before and after it")]
    NotJson,
    /// Longer than any answer.
    #[error("it is too long")]
    TooLong,
    /// A field that is not in the schema.
    #[error("{0} is no field of the schema")]
    UnknownField(String),
    /// An action that does not exist, or that nobody may ask for.
    #[error("the action is none of the schema's")]
    UnknownAction,
    /// A field with a value it cannot have.
    #[error("{0} has a value that the schema does not allow")]
    Value(String),
    /// More intents than a turn has.
    #[error("it has more than {MAX_INTENTS} intents")]
    TooMany,
}

/// The intents of an answer.
///
/// # Errors
/// When it is anything but one object of the schema.
pub fn parse(words: &str) -> Result<Vec<Intent>, Reject> {
    if words.len() > MAX_WORDS {
        return Err(Reject::TooLong);
    }
    let value: Value = serde_json::from_str(words.trim()).map_err(|_| Reject::NotJson)?;
    accept(value)
}

/// The same for words that already came as JSON (the input of a tool).
pub(crate) fn accept(value: Value) -> Result<Vec<Intent>, Reject> {
    if !value.is_object() {
        return Err(Reject::NotJson);
    }
    if value
        .pointer("/intents")
        .and_then(Value::as_array)
        .is_some_and(|list| list.len() > MAX_INTENTS)
    {
        return Err(Reject::TooMany);
    }
    check(&value, &schema::answer(), "answer")?;
    #[derive(serde::Deserialize)]
    struct Answer {
        intents: Vec<Intent>,
    }
    let answer: Answer = serde_json::from_value(value).map_err(|_| Reject::Value("answer".to_owned()))?;
    if answer.intents.iter().any(|intent| !schema::asked(intent.action)) {
        return Err(Reject::UnknownAction);
    }
    Ok(answer.intents)
}

/// Looks at a value by the parts of JSON Schema that [`schema::answer`] uses.
fn check(value: &Value, schema: &Value, path: &str) -> Result<(), Reject> {
    let bad = || Reject::Value(path.to_owned());
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let limit = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
    };
    match (kind, value) {
        ("object", Value::Object(fields)) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|v| v.is_object());
            if limit("maxProperties").is_some_and(|most| fields.len() > most) {
                return Err(bad());
            }
            for (name, item) in fields {
                // Null says the same as leaving it out.
                let inner = properties.and_then(|p| p.get(name)).or(others);
                let inner = inner.ok_or_else(|| Reject::UnknownField(format!("{path}.{}", shown(name))))?;
                if !item.is_null() {
                    check(item, inner, &format!("{path}.{}", shown(name)))?;
                }
            }
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            match required
                .filter_map(Value::as_str)
                .find(|name| fields.get(*name).is_none_or(Value::is_null))
            {
                Some(missing) => Err(Reject::Value(format!("{path}.{missing}"))),
                None => Ok(()),
            }
        }
        ("array", Value::Array(items)) => {
            if limit("maxItems").is_some_and(|most| items.len() > most) {
                return Err(bad());
            }
            let inner = schema.get("items").ok_or_else(bad)?;
            items
                .iter()
                .try_for_each(|item| check(item, inner, &format!("{path}[]")))
        }
        ("string", Value::String(text)) => {
            let allowed = schema.get("enum").and_then(Value::as_array);
            if allowed.is_some_and(|list| !list.contains(value)) {
                return Err(if path.ends_with(".action") {
                    Reject::UnknownAction
                } else {
                    bad()
                });
            }
            let long = limit("maxLength").is_some_and(|most| text.chars().count() > most);
            // What nobody sees has no place in a name.
            let unseen = text
                .chars()
                .any(|c| c.is_control() || ('\u{200b}'..='\u{202e}').contains(&c));
            if long || unseen { Err(bad()) } else { Ok(()) }
        }
        ("integer", Value::Number(number)) => {
            let number = number.as_i64().ok_or_else(bad)?;
            let at = |key: &str| schema.get(key).and_then(Value::as_f64);
            let out = at("minimum").is_some_and(|least| (number as f64) < least)
                || at("maximum").is_some_and(|most| number as f64 > most);
            if out { Err(bad()) } else { Ok(()) }
        }
        ("boolean", Value::Bool(_)) => Ok(()),
        _ => Err(bad()),
    }
}

/// A field's name as an error may repeat it.
fn shown(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(40)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scale() -> Value {
        json!({"action": "scale", "target": {"kind": "Deployment", "names": ["web"]}, "params": {"replicas": 5}, "confidence": 90})
    }

    #[test]
    fn one_object_of_the_schema_is_read() {
        let words = json!({"intents": [scale()]}).to_string();
        let intents = parse(&format!("\n{words}\n")).unwrap();
        assert_eq!(intents[0].params.replicas, Some(5));
        assert_eq!(parse(r#"{"intents":[]}"#), Ok(vec![]));
        let with_null =
            r#"{"intents":[{"action":"restart","target":{"kind":null,"names":["web"]},"confidence":50}]}"#;
        assert_eq!(parse(with_null).unwrap()[0].target.kind, None);
    }

    #[test]
    fn anything_else_is_rejected() {
        let with = |change: fn(&mut Value)| {
            let mut intent = scale();
            change(&mut intent);
            json!({"intents": [intent]}).to_string()
        };
        let words = json!({"intents": [scale()]}).to_string();
        let cases = [
            (format!("Sure! {words}"), Reject::NotJson),
            (format!("```json\n{words}\n```"), Reject::NotJson),
            (format!("{words} I hope this helps"), Reject::NotJson),
            (format!("{words}{words}"), Reject::NotJson),
            ("[]".to_owned(), Reject::NotJson),
            (String::new(), Reject::NotJson),
            ("{}".to_owned(), Reject::Value("answer.intents".to_owned())),
            (with(|i| i["action"] = json!("exec")), Reject::UnknownAction),
            (with(|i| i["action"] = json!("recreate")), Reject::UnknownAction),
            (
                with(|i| i["approved"] = json!(true)),
                Reject::UnknownField("answer.intents[].approved".to_owned()),
            ),
            (
                with(|i| i["risk"] = json!("safe")),
                Reject::UnknownField("answer.intents[].risk".to_owned()),
            ),
            (
                with(|i| i["target"]["cluster"] = json!("x")),
                Reject::UnknownField("answer.intents[].target.cluster".to_owned()),
            ),
            (
                with(|i| i["params"]["replicas"] = json!(-1)),
                Reject::Value("answer.intents[].params.replicas".to_owned()),
            ),
            (
                with(|i| i["params"]["replicas"] = json!("5")),
                Reject::Value("answer.intents[].params.replicas".to_owned()),
            ),
            (
                with(|i| i["params"]["replicas"] = json!(5.5)),
                Reject::Value("answer.intents[].params.replicas".to_owned()),
            ),
            (
                with(|i| i["target"]["names"] = json!(["x".repeat(300)])),
                Reject::Value("answer.intents[].target.names[]".to_owned()),
            ),
            (
                with(|i| i["target"]["names"] = json!(["we\u{200b}b"])),
                Reject::Value("answer.intents[].target.names[]".to_owned()),
            ),
            (
                json!({"intents": vec![scale(); 10_000]}).to_string(),
                Reject::TooLong,
            ),
            (json!({"intents": vec![scale(); 17]}).to_string(), Reject::TooMany),
        ];
        for (words, why) in cases {
            assert_eq!(
                parse(&words),
                Err(why),
                "{}",
                words.chars().take(200).collect::<String>()
            );
        }
    }
}
