//! Hand-made pieces of schema for what the derive cannot say: bounded maps and free-form objects.

use schemars::{Schema, SchemaGenerator, json_schema};

/// `map[string][]string`, bounded (identity extras).
pub fn extra(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "array", "maxItems": 32,
            "items": { "type": "string", "maxLength": 1024 }
        }
    })
}

/// `map[string]string`, bounded (labels, annotations, plain parameters).
pub fn string_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 4096 }
    })
}

/// `map[string]integer`, bounded (counts by kind or class).
pub fn count_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "integer", "format": "int64" }
    })
}

/// A list of conditions, merged by `type` (KEP-1623), with the bounds the API server's own type documents.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "description": "What is known of this object; programs read these, not the phase.",
        "items": {
            "type": "object",
            "description": "One aspect of the object's state (metav1.Condition).",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": { "type": "string", "maxLength": 316, "description": "Name of the aspect." },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown." },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0, "description": "metadata.generation this was set for." },
                "lastTransitionTime": { "type": "string", "format": "date-time", "description": "When status last changed." },
                "reason": { "type": "string", "maxLength": 1024, "minLength": 1, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", "description": "PascalCase cause, for programs." },
                "message": { "type": "string", "maxLength": 4096, "description": "What happened, what did not, and what to do, for people." }
            }
        }
    })
}
