//! Which objects read a label through their selector.

use std::collections::BTreeMap;

use serde_json::Value;

/// Whether a selector (`matchLabels`/`matchExpressions`, or a plain map as a Service has it) names one of these keys and
/// selects the labels before or after the change.
#[must_use]
pub fn reads_key(
    selector: &Value,
    keys: &[String],
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> bool {
    let Some(map) = selector.as_object() else {
        return false;
    };
    let structured = map.contains_key("matchLabels") || map.contains_key("matchExpressions");
    let mut named: Vec<&str> = vec![];
    if structured {
        named.extend(
            map.get("matchLabels")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(k, _)| k.as_str()),
        );
        let expressions = map
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        named.extend(expressions.filter_map(|e| e.get("key")?.as_str()));
    } else {
        named.extend(map.keys().map(String::as_str));
    }
    keys.iter().any(|k| named.contains(&k.as_str()))
        && (selects(selector, before) || selects(selector, after))
}

/// Whether the selector selects the labels; a selector that cannot be read selects (the stricter reading).
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let parsed = if structured {
        serde_json::from_value(selector.clone())
    } else {
        serde_json::from_value(serde_json::json!({ "matchLabels": selector }))
    };
    parsed.map_or(true, |s| crate::policy::selects(&s, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_reads_a_key_only_if_it_names_it_and_selects_the_object() {
        let web: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
        let none = BTreeMap::new();
        let key = vec!["app".to_owned()];
        let cases = [
            (json!({"app": "web"}), true),
            (json!({"app": "db"}), false),
            (json!({"tier": "x"}), false),
            (json!({"matchLabels": {"app": "web"}}), true),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                true,
            ),
            (json!({"matchExpressions": [{"key": "app", "operator": 7}]}), true),
            (json!(null), false),
        ];
        for (selector, want) in cases {
            assert_eq!(reads_key(&selector, &key, &web, &none), want, "{selector}");
        }
    }
}
