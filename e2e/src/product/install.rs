//! What is installed in the cluster before and after the product's processes start.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::apply::Applier;
use crate::wait::eventually;

/// The operator's service account.
pub(super) const OPERATOR_ACCOUNT: &str = "kubechat-operator";
/// The webhook's service account.
pub(crate) const WEBHOOK_ACCOUNT: &str = "kubechat-webhook";
/// The service account of an interpreter of its own.
pub(super) const INTERPRETER_ACCOUNT: &str = "kubechat-interpreter";
/// How long KubeChat's own admission may take until it lets the policies pass.
const POLICIES_DEADLINE: Duration = Duration::from_secs(60);

/// The manifests that ship, in two parts.
#[derive(Debug, PartialEq)]
pub(super) struct Manifests {
    /// Needs no KubeChat: kinds, roles, admission.
    pub(super) before: Vec<Value>,
    /// KubeChat's own objects (policies): its webhook must answer first.
    pub(super) after: Vec<Value>,
}

/// Splits the manifests, and points their webhooks to a process on loopback instead of a Service.
pub(super) fn split(documents: Vec<Value>, webhook_url: &str) -> Manifests {
    let (after, mut before): (Vec<Value>, Vec<Value>) = documents.into_iter().partition(is_of_kubechat);
    for document in &mut before {
        if let Some(webhooks) = webhooks_of(document) {
            webhooks
                .iter_mut()
                .for_each(|webhook| point_to(&mut webhook["clientConfig"], webhook_url));
        }
    }
    Manifests { before, after }
}

fn is_of_kubechat(document: &Value) -> bool {
    document["apiVersion"]
        .as_str()
        .is_some_and(|version| version.starts_with("kubechat.io/"))
}

fn webhooks_of(document: &mut Value) -> Option<&mut Vec<Value>> {
    let kind = document["kind"].as_str().unwrap_or_default();
    let is_configuration = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].contains(&kind);
    is_configuration
        .then(|| document["webhooks"].as_array_mut())
        .flatten()
}

fn point_to(client_config: &mut Value, url: &str) {
    let Some(fields) = client_config.as_object_mut() else {
        return;
    };
    // The operator sets it; applying an empty one again at the next start would take it away.
    if fields.get("caBundle").is_some_and(|bundle| bundle == "") {
        fields.remove("caBundle");
    }
    if let Some(service) = fields.remove("service") {
        let path = service["path"].as_str().unwrap_or_default();
        fields.insert("url".to_owned(), json!(format!("{url}{path}")));
    }
}

/// Applies the policies as soon as KubeChat's admission answers.
pub(super) async fn apply_policies(applier: &Applier, policies: &[Value]) -> Result<()> {
    eventually(
        POLICIES_DEADLINE,
        "KubeChat's admission accepts its policies",
        || applier.apply_all(policies),
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_objects_come_after_and_everything_keeps_its_order() {
        let documents = [
            ("v1", "A"),
            ("kubechat.io/v1beta1", "B"),
            ("apps/v1", "C"),
            ("kubechat.io/v1beta1", "D"),
        ]
        .map(|(version, kind)| json!({"apiVersion": version, "kind": kind}));
        let split = split(documents.into(), "https://127.0.0.1:1");
        let kinds = |part: &[Value]| {
            part.iter()
                .map(|one| one["kind"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(&split.before), ["A", "C"]);
        assert_eq!(kinds(&split.after), ["B", "D"]);
    }

    #[test]
    fn webhooks_point_to_loopback_and_keep_everything_else() {
        let webhook = json!({
            "name": "stamp.kubechat.io", "failurePolicy": "Fail",
            "clientConfig": {"caBundle": "", "service": {"namespace": "n", "name": "w", "path": "/mutate"}},
        });
        let documents = vec![
            json!({"apiVersion": "a/v1", "kind": "MutatingWebhookConfiguration", "webhooks": [webhook]}),
            json!({"apiVersion": "a/v1", "kind": "ValidatingWebhookConfiguration"}),
            json!({"apiVersion": "v1", "kind": "Other", "webhooks": [webhook]}),
        ];
        let before = split(documents, "https://127.0.0.1:7").before;
        assert_eq!(
            before[0]["webhooks"][0]["clientConfig"],
            json!({"url": "https://127.0.0.1:7/mutate"})
        );
        assert_eq!(before[0]["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(before[2]["webhooks"][0], webhook);
    }
}
