//! The server's dry-run of every step, its diff, and who else writes the changed fields.

use kubechat_core::plan::actions::apply;
use kubechat_core::plan::{self, Draft, diff};
use kubechat_core::{reason, redact};
use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, FieldOwner};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{Earnest, Objects};
use crate::error::Error;

/// Runs the server's dry-run for every target and keeps the diff.
pub(super) async fn dry_run(turn: &Turn<'_>, draft: &mut Draft) -> Result<(), Stop> {
    let step = &draft.step;
    let mut lines = vec![];
    let mut digests = vec![];
    for (index, target) in step.targets.iter().enumerate() {
        let kind = plan::KindRef {
            group: target.group.clone(),
            version: target.version.clone(),
            kind: target.kind.clone(),
            resource: target.resource.clone(),
            namespaced: target.namespace.is_some(),
            scalable: false,
        };
        let api = Objects::new(&turn.person, &kind, target.namespace.as_deref());
        let before = draft.before.get(index);
        let patch = patch_text(draft);
        let refused = |error: Error| dry_run_refused(error, &step.command);
        match (step.effect, before) {
            (Effect::Update, Some(before)) if step.action == Action::Apply => {
                let manifest = manifest_text(turn, draft).await?;
                let body =
                    apply::body(&manifest, before, "").map_err(|e| Stop::failed(reason::INVALID, e))?;
                let would = api.would_apply(&target.name, &body).await;
                let (after, _) = would.map_err(|error| apply_refused(error, &step.command))?;
                digests.push((index, apply::change_digest(before, &after)));
                lines.extend(compare(index, step, before, &after));
            }
            (Effect::Update, Some(before)) => {
                let patch = patch.ok_or_else(|| Stop::failed(reason::INVALID, "the step has no patch"))?;
                let body = plan::final_patch(&patch, step.subresource.as_deref(), before, "")
                    .map_err(|e| Stop::failed(reason::INVALID, e))?;
                let after = api
                    .patch(&target.name, step.subresource.as_deref(), &body, Earnest::No)
                    .await
                    .map_err(refused)?;
                lines.extend(compare(index, step, before, &after));
            }
            (Effect::Create, _) => {
                let manifest = manifest_text(turn, draft).await?;
                let body: Value = serde_json::from_str(&manifest).map_err(|e| Stop::Retry(e.into()))?;
                let after = api.create(&body, Earnest::No).await.map_err(refused)?;
                lines.extend(diff::diff(index, None, Some(&after)));
            }
            (Effect::Delete, Some(before)) => {
                let uid = target.uid.as_deref().unwrap_or_default();
                let grace = step.params.grace_period_seconds;
                if step.subresource.is_some() {
                    match api.evict(&target.name, uid, grace, Earnest::No).await {
                        // A budget forbids it now; the executor waits for it, bounded, and the blast radius shows it.
                        Err(error) if error.status().is_some_and(|s| s.code == 429) => {}
                        other => other.map_err(refused)?,
                    }
                } else {
                    api.delete(&target.name, uid, None, grace, Earnest::No)
                        .await
                        .map_err(refused)?;
                }
                lines.push(kubechat_crds::command_plan::DiffLine {
                    target: i32::try_from(index).unwrap_or(i32::MAX),
                    path: String::new(),
                    before: Some(format!(
                        "{}/{}",
                        target.kind.to_lowercase(),
                        plan::object::name(before)
                    )),
                    after: None,
                });
            }
            (Effect::Update | Effect::Delete, None) | (Effect::Read, _) => {
                return Err(Stop::failed(reason::INVALID, "the step has nothing to change"));
            }
        }
    }
    diff::bound(&mut lines);
    draft.step.diff = lines;
    for (index, digest) in digests {
        if let Some(target) = draft.step.targets.get_mut(index) {
            target.change_digest = digest;
        }
    }
    Ok(())
}

/// The full patch of a draft: inline, or the bytes beside it.
fn patch_text(draft: &Draft) -> Option<String> {
    let beside = || {
        draft
            .sidecars
            .iter()
            .find(|s| Some(&s.digest) == draft.step.manifest_digest.as_ref())
    };
    draft
        .step
        .patch
        .clone()
        .or_else(|| Some(String::from_utf8_lossy(&beside()?.bytes).into_owned()))
}

/// The full manifest of a create: inline, beside it, or kept by the plan it undoes.
async fn manifest_text(turn: &Turn<'_>, draft: &Draft) -> Result<String, Stop> {
    let Some(digest) = &draft.step.manifest_digest else {
        return draft
            .step
            .manifest
            .clone()
            .ok_or_else(|| Stop::failed(reason::INVALID, "the step has no manifest"));
    };
    if let Some(sidecar) = draft.sidecars.iter().find(|s| s.digest == *digest) {
        return Ok(String::from_utf8_lossy(&sidecar.bytes).into_owned());
    }
    let uid = turn.request.metadata.uid.as_deref().unwrap_or_default();
    match turn.ctx.audit.kept(uid, digest).await.map_err(Stop::Retry)? {
        Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        None => Err(Stop::failed(
            reason::INVALID,
            "the bytes of the manifest are no longer kept, so it cannot be created",
        )),
    }
}

/// The diff of one updated target. A scale answers with the Scale object, which holds only the number, and not even that
/// when it is zero. The number before is the one that undoes the step: where it stands in the object, only its kind knows.
fn compare(
    index: usize,
    step: &Step,
    before: &Value,
    after: &Value,
) -> Vec<kubechat_crds::command_plan::DiffLine> {
    if step.subresource.as_deref() == Some("scale") {
        let number = |o: &Value| serde_json::json!({"spec": {"replicas": o.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into())}});
        let recorded = step.rollback.undo_of(index).and_then(|u| u.params.replicas);
        let before = recorded.map_or_else(
            || number(before),
            |n| serde_json::json!({"spec": {"replicas": n}}),
        );
        return diff::diff(index, Some(&before), Some(&number(after)));
    }
    diff::diff(index, Some(before), Some(after))
}

/// As [`dry_run_refused`], with what to do about fields that others manage: they are told by the API server.
pub(super) fn apply_refused(error: Error, command: &str) -> Stop {
    match error.status() {
        Some(status) if status.code == 409 && !is_modified(status) => Stop::failed(
            reason::DRY_RUN_FAILED,
            format!(
                "the API server refused a dry-run of `{command}`: {}. Nothing was done. A field that somebody else manages is not taken by an apply: leave it out of the manifest, change it where it is managed, or ask for a patch of it",
                redact::shown(&status.message)
            ),
        ),
        _ => dry_run_refused(error, command),
    }
}

fn dry_run_refused(error: Error, command: &str) -> Stop {
    let said = error
        .status()
        .map(|status| redact::shown(&status.message))
        .unwrap_or_default();
    match error.status() {
        Some(status) if status.code == 403 => Stop::failed(
            reason::FORBIDDEN,
            format!("{said}. Nothing was done, no plan was made"),
        ),
        // Somebody wrote to it since it was read: it is read again.
        Some(status) if is_modified(status) => Stop::Retry(error),
        Some(status) if (400..500).contains(&status.code) && status.code != 429 => Stop::failed(
            reason::DRY_RUN_FAILED,
            format!("the API server refused a dry-run of `{command}`: {said}. Nothing was done"),
        ),
        // It will say so however often it is asked.
        Some(status) if is_for_good(status.code, &status.message) => Stop::failed(
            reason::DRY_RUN_FAILED,
            format!(
                "the API server refused a dry-run of `{command}`: {said} Nothing was done. Change the selectors of the budgets so that one of them selects the pod (kubectl get poddisruptionbudgets lists them)"
            ),
        ),
        _ => Stop::Retry(error),
    }
}

/// What the API server says of a write onto a version that is not the newest.
const MODIFIED: &str = "the object has been modified";
/// Whether a write met a newer version of its object.
pub(crate) fn is_modified(status: &kube::core::Status) -> bool {
    status.code == 409 && status.message.contains(MODIFIED)
}

/// What the API server says of an eviction that two budgets judge; its code is that of an error of its own.
const TWO_BUDGETS: &str = "more than one PodDisruptionBudget";

/// Whether a server error is a refusal all the same, which no second try changes.
pub(crate) fn is_for_good(code: u16, message: &str) -> bool {
    code == 500 && message.contains(TWO_BUDGETS)
}

/// Who else writes the fields that a step changes, from managedFields; HPAs and GitOps appliers put them back.
pub(super) fn owners(draft: &Draft) -> Vec<FieldOwner> {
    let mut found: Vec<FieldOwner> = vec![];
    for line in &draft.step.diff {
        let Some(before) = usize::try_from(line.target)
            .ok()
            .and_then(|i| draft.before.get(i))
        else {
            continue;
        };
        let managers = before
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for entry in managers {
            let manager = entry.get("manager").and_then(Value::as_str).unwrap_or_default();
            let owns = entry
                .get("fieldsV1")
                .is_some_and(|fields| owns(fields, &line.path));
            let known = found.iter().any(|f| f.field == line.path && f.manager == manager);
            if owns && !known && manager != kubechat_crds::FIELD_MANAGER && found.len() < 20 {
                let applies = ["kustomize-controller", "helm-controller", "argocd"]
                    .iter()
                    .any(|m| manager.contains(m));
                // Of the controllers of Kubernetes the autoscaler alone writes through `scale`.
                let scales = manager == "kube-controller-manager"
                    && entry.get("subresource").and_then(Value::as_str) == Some("scale");
                let will_be_undone = applies || scales;
                found.push(FieldOwner {
                    field: line.path.clone(),
                    manager: manager.to_owned(),
                    will_be_undone,
                });
            }
        }
    }
    found
}

/// Whether a FieldsV1 set holds a plain (map) path.
fn owns(fields: &Value, path: &str) -> bool {
    let mut at = fields;
    for part in path.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        match at.get(format!("f:{part}")) {
            Some(next) => at = next,
            None => return false,
        }
    }
    !path.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_of_two_budgets_is_said_to_be_one_and_not_asked_for_again() {
        let answer = |message: &str, code| {
            let status = kube::core::Status::failure(message, "").with_code(code);
            Error::Api {
                what: "evict pod x".into(),
                source: kube::Error::Api(status.boxed()),
            }
        };
        let said = |message: &str, code| dry_run_refused(answer(message, code), "evict pod x");
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        let Stop::Halt(halted) = said(two, 500) else {
            panic!("it is tried again for ever");
        };
        assert_eq!(halted.reason, reason::DRY_RUN_FAILED);
        assert!(
            halted.message.contains("more than one") && halted.message.contains("Nothing was done"),
            "{}",
            halted.message
        );
        assert!(matches!(
            said("etcdserver: request timed out", 500),
            Stop::Retry(_)
        ));
        let modified = "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your changes to the latest version and try again";
        let apply = apply_refused(answer(modified, 409), "apply");
        assert!(matches!(apply, Stop::Retry(_)));
        for (message, again) in [
            (modified, true),
            ("deployments.apps \"web\" already exists", false),
        ] {
            assert_eq!(matches!(said(message, 409), Stop::Retry(_)), again, "{message}");
        }
    }

    /// Who owns these fields of an object that such managers wrote.
    fn owned(managers: &Value, paths: &[&str]) -> Vec<(String, String, bool)> {
        let diff: Vec<Value> = paths
            .iter()
            .map(|path| json!({"target": 0, "path": path}))
            .collect();
        let step = json!({
            "id": "s1", "action": "scale", "effect": "update", "command": "", "level": "caution", "targets": [], "diff": diff,
            "rollback": {"kind": "None", "why": ""}
        });
        let draft = Draft {
            step: serde_json::from_value(step).unwrap(),
            sidecars: vec![],
            before: vec![json!({"metadata": {"managedFields": managers}})],
        };
        let found = owners(&draft).into_iter();
        found.map(|o| (o.field, o.manager, o.will_be_undone)).collect()
    }

    #[test]
    fn who_else_owns_a_changed_field_is_named_and_whether_he_puts_it_back() {
        let number = json!({"f:spec": {"f:replicas": {}}});
        let by = |manager: &str| json!([{"manager": manager, "operation": "Apply", "fieldsV1": number}]);
        for (manager, undone) in [
            ("kustomize-controller", true),
            ("helm-controller", true),
            ("argocd-controller", true),
            ("kubectl-edit", false),
            ("", false),
        ] {
            let found = owned(&by(manager), &["/spec/replicas"]);
            assert_eq!(found, [("/spec/replicas".to_owned(), manager.to_owned(), undone)]);
        }
        assert_eq!(owned(&by(kubechat_crds::FIELD_MANAGER), &["/spec/replicas"]), []);
        assert_eq!(owned(&by("kubectl-edit"), &["/spec/paused", ""]), []);
        assert_eq!(owned(&Value::Null, &["/spec/replicas"]), []);
        // As the autoscaler writes, and as no other controller does.
        for (through, undone) in [("scale", true), ("", false), ("status", false)] {
            let by = json!([{"manager": "kube-controller-manager", "operation": "Update", "subresource": through, "fieldsV1": number}]);
            let (_, _, found) = owned(&by, &["/spec/replicas"]).remove(0);
            assert_eq!(found, undone, "through {through:?}");
        }
        let escaped =
            json!([{"manager": "me", "fieldsV1": {"f:metadata": {"f:annotations": {"f:a.b/c~d": {}}}}}]);
        assert_eq!(owned(&escaped, &["/metadata/annotations/a.b~1c~0d"]).len(), 1);
        // Each manager of each field once, and a bounded number of them.
        let twice = json!([by("a")[0], by("a")[0], by("b")[0]]);
        assert_eq!(owned(&twice, &["/spec/replicas"; 3]).len(), 2);
        let many: Vec<Value> = (0..50).map(|n| by(&format!("m{n}"))[0].clone()).collect();
        assert_eq!(owned(&json!(many), &["/spec/replicas"]).len(), 20);
    }
}
