//! can-i: whether the person may do something, as the API server's authorizer says of the identity KubeChat acts with.

use kubechat_core::authz::Question;
use kubechat_core::plan::KindRef;
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;

use super::super::answer::text;
use super::super::{Stop, Turn, resolve};
use crate::cluster::access::{Subject, ask};

pub(super) async fn can_i(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let Some(kind) = resolve::named_kind(turn, intent)? else {
        return Err(Stop::needs_input(
            "On which kind of object? For example pods",
            vec![],
        ));
    };
    let namespace = resolve::namespace_of(turn, intent, kind)?;
    let verb = intent.params.verb.as_deref().unwrap_or("get");
    let subject = Subject::acting(&turn.acting);
    let names: Vec<Option<String>> = match intent.target.names.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    let mut said = vec![];
    for name in names {
        let question = question(verb, kind, namespace.clone(), name);
        let allowed = ask(&turn.ctx.client, &subject, &question).await?;
        let answer = if allowed { "Yes" } else { "No" };
        let may = if allowed { "may" } else { "may not" };
        said.push(format!(
            "{answer}: {} {may} {}.",
            turn.acting.username,
            question.describe()
        ));
    }
    Ok(text(&said.join("\n")))
}

/// The right that a verb of RBAC or an action needs on a kind.
fn question(verb: &str, kind: &KindRef, namespace: Option<String>, name: Option<String>) -> Question {
    let (verb, subresource) = match verb {
        "scale" => ("patch", "scale"),
        "restart" | "label" | "annotate" | "cordon" | "uncordon" => ("patch", ""),
        "evict" => ("create", "eviction"),
        other => (other, ""),
    };
    let own = Question {
        verb: verb.to_owned(),
        group: kind.group.clone(),
        resource: kind.resource.clone(),
        subresource: subresource.to_owned(),
        namespace,
        name,
    };
    match verb {
        // A drain is the evictions of the node's pods, wherever they are.
        "drain" => Question {
            verb: "create".to_owned(),
            group: String::new(),
            resource: "pods".to_owned(),
            subresource: "eviction".to_owned(),
            namespace: None,
            name: None,
        },
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_asked_as_the_right_it_needs() {
        let kind = KindRef {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            namespaced: true,
            scalable: true,
        };
        let cases = [
            ("scale", "patch deployments/scale.apps"),
            ("restart", "patch deployments.apps"),
            ("delete", "delete deployments.apps"),
            ("drain", "create pods/eviction"),
        ];
        for (verb, want) in cases {
            let said = question(verb, &kind, Some("demo".into()), None).describe();
            assert!(said.starts_with(want), "{verb}: {said}");
        }
    }
}
