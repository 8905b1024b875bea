//! What of the cluster a plan's judgement rests on: recorded, so that webhook and executor judge by the same facts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::OWN_NAMESPACE;

/// Facts beside the steps, read as the requester when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanFacts {
    /// KubeChat's own namespace, which no plan changes. Admission and executor refuse a plan that names another one than theirs.
    #[serde(default = "own_namespace")]
    #[schemars(length(max = 63))]
    pub own_namespace: String,
    /// Namespaces the plan touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub namespaces: Vec<NamespaceFact>,
    /// What the requester changed within the hour before, also by plans that were removed since.
    #[serde(default)]
    pub window: WindowFact,
    /// Text that no person wrote (a model's words), or that hides characters (pasted text), took part in making the plan.
    #[serde(default)]
    pub untrusted_text: bool,
    /// An incident is under way in a touched namespace: the glass was broken there within the day and nobody has reviewed it yet.
    #[serde(default)]
    pub incident: bool,
}

impl Default for PlanFacts {
    fn default() -> Self {
        Self {
            own_namespace: own_namespace(),
            namespaces: vec![],
            window: WindowFact::default(),
            untrusted_text: false,
            incident: false,
        }
    }
}

fn own_namespace() -> String {
    OWN_NAMESPACE.to_owned()
}

/// One touched namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceFact {
    /// Name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub labels: BTreeMap<String, String>,
    /// A RiskPolicy's `protectedNamespaces` selects it, or its labels could not be read.
    #[serde(default)]
    pub protected: bool,
}

/// Changes of the requester within a window, all plans together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowFact {
    /// Plans made.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub plans: i32,
    /// Objects changed by them.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub objects: i64,
    /// Objects deleted by them.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub deleted: i64,
}
