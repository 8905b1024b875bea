//! What the fields of a kind are for, from the cluster's own OpenAPI document (version 3).

use serde_json::Value;

/// A field that is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its type.
    pub kind: String,
    /// What it is for.
    pub text: String,
    /// The fields in it.
    pub fields: Vec<Field>,
}

/// A field of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Type; a required one says so.
    pub kind: String,
    /// What it is for.
    pub text: String,
}

/// Why a field cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The document has no such kind.
    Kind,
    /// There is no such field; these are there.
    Field {
        /// The path up to where it is known; empty for the kind itself.
        at: String,
        /// The name that is not there.
        name: String,
        /// Fields that are.
        known: Vec<String>,
    },
}

/// How far references are followed: a document may refer to itself.
const MAX_DEPTH: usize = 16;

/// Explains a kind, or the field at a path (`spec.strategy`; lists and maps are passed through).
///
/// # Errors
/// What is not there.
pub fn explain(
    document: &Value,
    (group, version, kind): (&str, &str, &str),
    path: &str,
) -> Result<Explained, Unknown> {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    let is = |schema: &&Value| {
        let of = schema
            .get("x-kubernetes-group-version-kind")
            .and_then(Value::as_array);
        of.into_iter().flatten().any(|gvk| {
            let text = |key: &str| gvk.get(key).and_then(Value::as_str).unwrap_or_default();
            (text("group"), text("version"), text("kind")) == (group, version, kind)
        })
    };
    let root = schemas
        .and_then(|all| all.values().find(is))
        .ok_or(Unknown::Kind)?;
    let doc = Doc(document);
    let (mut at, mut said) = (root, vec![]);
    let mut required = false;
    let mut text = doc.text(root);
    for name in path.split('.').filter(|part| !part.is_empty()) {
        let inner = doc.inner(at);
        let properties = inner.get("properties").and_then(Value::as_object);
        let Some(next) = properties.and_then(|map| map.get(name)) else {
            return Err(Unknown::Field {
                at: said.join("."),
                name: name.to_owned(),
                known: properties
                    .map(|map| map.keys().cloned().collect())
                    .unwrap_or_default(),
            });
        };
        required = is_required(inner, name);
        text = doc.text(next);
        at = next;
        said.push(name);
    }
    let inner = doc.inner(at);
    let properties = inner.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten().map(|(name, schema)| Field {
        name: name.clone(),
        kind: typed(doc.kind(schema), is_required(inner, name)),
        text: sentence(&doc.text(schema)),
    });
    Ok(Explained {
        kind: typed(doc.kind(at), required),
        text,
        fields: fields.collect(),
    })
}

fn typed(kind: String, required: bool) -> String {
    if required {
        format!("{kind}, required")
    } else {
        kind
    }
}

fn is_required(schema: &Value, name: &str) -> bool {
    let list = schema.get("required").and_then(Value::as_array);
    list.into_iter().flatten().any(|required| required == name)
}

/// The first sentence.
fn sentence(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    line.get(..end).unwrap_or(line).to_owned()
}

struct Doc<'d>(&'d Value);

impl<'d> Doc<'d> {
    /// A schema, through its references.
    fn resolved(&self, schema: &'d Value) -> &'d Value {
        let mut at = schema;
        for _ in 0..MAX_DEPTH {
            let wrapped = at.pointer("/allOf/0").filter(|_| at.get("properties").is_none());
            if let Some(next) = wrapped {
                at = next;
                continue;
            }
            let named = at.get("$ref").and_then(Value::as_str);
            let Some(next) = named.and_then(|r| self.0.pointer(r.strip_prefix('#')?)) else {
                return at;
            };
            at = next;
        }
        at
    }

    /// The object in it, through lists and maps.
    fn inner(&self, schema: &'d Value) -> &'d Value {
        let mut at = self.resolved(schema);
        for _ in 0..MAX_DEPTH {
            let next = at.get("items").or_else(|| at.get("additionalProperties"));
            match next.filter(|next| next.is_object()) {
                Some(next) => at = self.resolved(next),
                None => return at,
            }
        }
        at
    }

    /// What it is for: its own words before those of what it refers to.
    fn text(&self, schema: &'d Value) -> String {
        let of = |s: &Value| s.get("description").and_then(Value::as_str).map(str::to_owned);
        of(schema)
            .or_else(|| of(self.resolved(schema)))
            .or_else(|| of(self.inner(schema)))
            .unwrap_or_default()
    }

    /// `string`, `[]Container`, `map[string]string`.
    fn kind(&self, schema: &'d Value) -> String {
        let mut prefix = String::new();
        let mut at = schema;
        for _ in 0..MAX_DEPTH {
            let named = at
                .get("$ref")
                .or_else(|| at.pointer("/allOf/0/$ref"))
                .and_then(Value::as_str)
                .and_then(|r| r.rsplit(['/', '.']).next());
            let resolved = self.resolved(at);
            let of = resolved.get("type").and_then(Value::as_str);
            if let Some(items) = resolved.get("items") {
                prefix.push_str("[]");
                at = items;
                continue;
            }
            if let Some(values) = resolved.get("additionalProperties").filter(|v| v.is_object()) {
                prefix.push_str("map[string]");
                at = values;
                continue;
            }
            let whole = resolved.get("properties").is_some() || of == Some("object");
            let mixed =
                resolved.get("x-kubernetes-int-or-string").is_some() || resolved.get("oneOf").is_some();
            let name = match (named.filter(|_| whole || of.is_none()), of) {
                (Some(name), _) => name,
                (None, _) if mixed => "integer or string",
                (None, Some(of)) => of,
                (None, None) => "any",
            };
            return format!("{prefix}{name}");
        }
        format!("{prefix}any")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "io.k8s.api.apps.v1.Deployment": {
                "description": "Deployment enables declarative updates. More words.",
                "type": "object",
                "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Deployment", "version": "v1"}],
                "properties": {
                    "kind": {"type": "string", "description": "Kind is a string. It cannot be updated."},
                    "spec": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"}],
                        "description": "What is wanted.", "default": {}},
                }},
            "io.k8s.api.apps.v1.DeploymentSpec": {
                "description": "DeploymentSpec is the specification.", "type": "object", "required": ["containers"],
                "properties": {
                    "replicas": {"type": "integer", "format": "int32", "description": "Number of desired pods."},
                    "containers": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]}},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "port": {"$ref": "#/components/schemas/io.k8s.IntOrString"},
                    "again": {"$ref": "#/components/schemas/Again"},
                }},
            "io.k8s.api.core.v1.Container": {"type": "object", "description": "A container.",
                "properties": {"image": {"type": "string", "description": "The image."}}},
            "io.k8s.IntOrString": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
            "Again": {"$ref": "#/components/schemas/Again"},
        }}})
    }

    const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");

    #[test]
    fn a_kind_and_a_field_are_explained_in_the_clusters_own_words() {
        let whole = explain(&document(), DEPLOYMENT, "").unwrap();
        assert_eq!(whole.text, "Deployment enables declarative updates. More words.");
        let said: Vec<_> = whole
            .fields
            .iter()
            .map(|f| (f.name.as_str(), f.kind.as_str(), f.text.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                ("kind", "string", "Kind is a string."),
                ("spec", "DeploymentSpec", "What is wanted.")
            ]
        );
        let spec = explain(&document(), DEPLOYMENT, "spec").unwrap();
        assert_eq!(
            (spec.text.as_str(), spec.kind.as_str()),
            ("What is wanted.", "DeploymentSpec")
        );
        let kinds: Vec<_> = spec.fields.iter().map(|f| f.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "Again",
                "[]Container, required",
                "map[string]string",
                "IntOrString",
                "integer"
            ]
        );
        let image = explain(&document(), DEPLOYMENT, "spec.containers.image").unwrap();
        assert_eq!(
            (image.text.as_str(), image.kind.as_str()),
            ("The image.", "string")
        );
        let list = explain(&document(), DEPLOYMENT, "spec.containers").unwrap();
        assert_eq!(
            (list.text.as_str(), list.kind.as_str()),
            ("A container.", "[]Container, required")
        );
        assert_eq!(list.fields.len(), 1);
    }

    #[test]
    fn what_is_not_there_names_what_is() {
        let unknown = explain(&document(), DEPLOYMENT, "spec.replicos").unwrap_err();
        let Unknown::Field { at, name, known } = unknown else {
            panic!("{unknown:?}");
        };
        assert_eq!((at.as_str(), name.as_str()), ("spec", "replicos"));
        assert!(known.contains(&"replicas".to_owned()), "{known:?}");
        assert!(explain(&document(), DEPLOYMENT, "spec.replicas.x").is_err());
        assert_eq!(
            explain(&document(), ("", "v1", "Deployment"), ""),
            Err(Unknown::Kind)
        );
        assert_eq!(explain(&json!(7), DEPLOYMENT, ""), Err(Unknown::Kind));
        // A document that refers to itself without end ends.
        assert_eq!(explain(&document(), DEPLOYMENT, "spec.again").unwrap().fields, []);
    }
}
