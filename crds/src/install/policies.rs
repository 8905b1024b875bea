//! The policies that ship: the baseline pack, the audit policy and the built-in provider.

use serde_json::{Value, json};

/// Label by which the baseline selects namespaces whose turns may reach beyond themselves.
pub const WIDE_SCOPE_LABEL: &str = "kubechat.io/wide-scope";
/// Label by which the baseline selects protected namespaces.
pub const PROTECTED_LABEL: &str = "kubechat.io/protected";

/// Baseline RiskPolicy, AuditPolicy `default`, AIProvider `rules`.
#[must_use]
pub fn objects() -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "kubechat.io/v1beta1",
            "kind": "RiskPolicy",
            "metadata": { "name": "baseline" },
            "spec": {
                "approvals": {
                    "caution": { "count": 1, "selfConfirm": true },
                    "destructive": { "count": 1 }
                },
                "rules": [{
                    "name": "two-people",
                    "when": "plan.level == 'destructive' && (plan.protected || plan.score >= 90)",
                    "effect": "RequireApproval",
                    "require": { "count": 2 },
                    "message": "A protected namespace, or a very dangerous change: two other people"
                }],
                "protectedNamespaces": { "matchLabels": { PROTECTED_LABEL: "true" } },
                "wideScopeFrom": { "matchLabels": { WIDE_SCOPE_LABEL: "true" } },
                "maxPlanAge": { "caution": "8h", "destructive": "4h" },
                "maxIdentityAge": { "caution": "8h", "destructive": "4h" }
            }
        }),
        json!({
            "apiVersion": "kubechat.io/v1beta1",
            "kind": "AuditPolicy",
            "metadata": { "name": "default" },
            "spec": {}
        }),
        json!({
            "apiVersion": "kubechat.io/v1beta1",
            "kind": "AIProvider",
            "metadata": { "name": "rules" },
            "spec": { "type": "Rules" }
        }),
    ]
}
