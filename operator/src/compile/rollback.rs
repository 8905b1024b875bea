//! Undoing a plan: a new plan with the reverse steps in reverse order, under the same rules.

use kube::Api;
use kubechat_core::plan::actions::recreate;
use kubechat_core::plan::object::masked;
use kubechat_core::plan::{self, Draft, Found, KindRef, Sidecar};
use kubechat_core::reason;
use kubechat_crds::command_plan::{RequestRef, RollbackKind, Target, Undo};
use kubechat_crds::intent::{Action, Intent, IntentTarget, Span};
use kubechat_crds::{CommandPlan, Step};
use serde_json::Value;

use super::{Outcome, Stop, Turn, change};
use crate::cluster::client::call;
use crate::cluster::objects::Objects;
use crate::execute::did_something;

/// A plan that undoes what another one did.
pub(super) async fn plan(turn: &Turn<'_>, name: &str) -> Result<Outcome, Stop> {
    let api: Api<CommandPlan> = Api::namespaced(turn.person.0.clone(), &turn.namespace);
    let undone = match call(format!("read plan {name}"), api.get(name)).await {
        Ok(plan) => plan,
        Err(error) if error.is_not_found() => {
            return Err(Stop::needs_input(
                format!(
                    "There is no plan {name} in namespace {} (plans go with their turn). Nothing was done",
                    turn.namespace
                ),
                vec![],
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let states = undone
        .status
        .as_ref()
        .map(|s| s.steps.clone())
        .unwrap_or_default();
    let done: Vec<&Step> = undone
        .spec
        .steps
        .iter()
        .filter(|step| states.iter().any(|s| s.id == step.id && did_something(s)))
        .collect();
    if done.is_empty() {
        return Err(Stop::failed(
            reason::INVALID,
            format!("plan {name} did nothing, so there is nothing to undo"),
        ));
    }
    let mut drafts = vec![];
    let mut notes = vec![];
    for step in done.into_iter().rev() {
        if step.rollback.kind == RollbackKind::None {
            notes.push(format!(
                "{} of {name} is not undone: {}",
                step.id, step.rollback.why
            ));
            continue;
        }
        for (index, target) in step.targets.iter().enumerate().rev() {
            let Some(undo) = step.rollback.undo_of(index) else {
                continue;
            };
            for draft in reverse(
                turn,
                &undone,
                step,
                index,
                target,
                &undo,
                drafts.len(),
                &mut notes,
            )
            .await?
            {
                plan::join(&mut drafts, draft);
            }
        }
    }
    if drafts.is_empty() {
        let why = if notes.is_empty() {
            "everything is as it was before".to_owned()
        } else {
            notes.join("; ")
        };
        return Err(Stop::failed(
            reason::INVALID,
            format!("plan {name} cannot be undone: {why}. Nothing was done"),
        ));
    }
    for (index, draft) in drafts.iter_mut().enumerate() {
        plan::finish(&mut draft.step, index);
    }
    let of = RequestRef {
        name: name.to_owned(),
        uid: undone.metadata.uid.clone().unwrap_or_default(),
    };
    let (spec, sidecars) = change::assemble(turn, drafts, turn.request.spec.mode, Some(of), notes).await?;
    Ok(Outcome::Plan {
        spec: Box::new(spec),
        sidecars,
        answer: None,
    })
}

/// The drafts that undo one target of one step. What changed since is noted.
#[allow(clippy::too_many_arguments)]
async fn reverse(
    turn: &Turn<'_>,
    undone: &CommandPlan,
    step: &Step,
    index: usize,
    target: &Target,
    undo: &Undo,
    at: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Draft>, Stop> {
    let what = format!("{}/{}", target.kind.to_lowercase(), target.name);
    turn.bounds
        .check(turn.request, target.namespace.as_deref(), &what)?;
    let kind = kind_of(turn, target);
    let now = Objects::new(&turn.person, &kind, target.namespace.as_deref())
        .find(&target.name)
        .await?;
    let action = step.rollback.action.unwrap_or(Action::Recreate);
    if action == Action::Recreate {
        if now.is_some() {
            notes.push(format!("{what} is there again and is left alone"));
            return Ok(vec![]);
        }
        let mut draft = recreate::draft(target, undo, at).map_err(|e| Stop::failed(reason::INVALID, e))?;
        if let Some(digest) = &undo.manifest_digest {
            draft.sidecars.push(kept(turn, undone, digest, &what).await?);
        }
        return Ok(vec![draft]);
    }
    let Some(object) = now else {
        notes.push(format!("{what} is gone, so {} of it is not undone", step.id));
        return Ok(vec![]);
    };
    let uid = undone.metadata.uid.as_deref().unwrap_or_default();
    let place = undone.spec.steps.iter().position(|s| s.id == step.id);
    let step_id = plan::step_id(uid, place.unwrap_or_default(), step);
    if !plan::is_the_one(step, target, &object, &step_id) {
        notes.push(format!(
            "{what} is another object by now (it was deleted and created again), so {} of it is not undone",
            step.id
        ));
        return Ok(vec![]);
    }
    notes.extend(drift(step, index, &object, &what));
    let intent = Intent {
        action,
        target: IntentTarget {
            names: vec![target.name.clone()],
            ..IntentTarget::default()
        },
        params: undo.params.clone(),
        confidence: 100,
        span: Span::default(),
    };
    let found = Found { kind, object };
    let revisions = if action == Action::RolloutUndo {
        change::revisions(&turn.person, turn, &found).await?
    } else {
        vec![]
    };
    match plan::draft(&intent, &[found], &revisions, turn.now) {
        Ok(drafts) => Ok(drafts),
        Err(plan::Refusal::Nothing(why)) => {
            notes.push(why);
            Ok(vec![])
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The kind as discovery has it now, else as the plan recorded it.
fn kind_of(turn: &Turn<'_>, target: &Target) -> KindRef {
    turn.kinds
        .known(&target.group, &target.kind)
        .cloned()
        .unwrap_or_else(|| KindRef {
            group: target.group.clone(),
            version: target.version.clone(),
            kind: target.kind.clone(),
            resource: target.resource.clone(),
            namespaced: target.namespace.is_some(),
            scalable: false,
        })
}

async fn kept(turn: &Turn<'_>, undone: &CommandPlan, digest: &str, what: &str) -> Result<Sidecar, Stop> {
    let bytes = turn
        .ctx
        .audit
        .kept(&undone.spec.chat_request_ref.uid, digest)
        .await
        .map_err(Stop::Retry)?;
    let bytes = bytes.ok_or_else(|| {
        Stop::failed(reason::INVALID, format!("the full manifest of {what} is no longer kept (or is not what was recorded), so it cannot be created again. Nothing was done"))
    })?;
    Ok(Sidecar {
        digest: digest.to_owned(),
        bytes,
    })
}

/// Fields that no longer stand as the undone plan left them.
fn drift(step: &Step, index: usize, object: &Value, what: &str) -> Vec<String> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    // Both sides masked: a diff holds no value of the cluster, and neither may a note.
    let object = masked(object);
    let lines = step
        .diff
        .iter()
        .filter(|l| usize::try_from(l.target) == Ok(index) && !l.path.is_empty());
    lines
        .filter_map(|line| {
            let now = object.pointer(&line.path).map(text);
            (now != line.after).then(|| {
                let was = line.after.as_deref().unwrap_or("(removed)");
                let is = now.as_deref().unwrap_or("(removed)").to_owned();
                kubechat_crds::condition::clip(
                    format!(
                        "changed since: {} of {what} was left at {was} and is {is} now",
                        line.path
                    ),
                    1000,
                )
            })
        })
        .take(10)
        .collect()
}

#[cfg(test)]
mod tests {
    use kubechat_crds::command_plan::DiffLine;
    use serde_json::json;

    use super::*;

    fn line(path: &str, after: Option<&str>) -> DiffLine {
        DiffLine {
            target: 0,
            path: path.to_owned(),
            before: None,
            after: after.map(str::to_owned),
        }
    }

    fn step(diff: Vec<DiffLine>) -> Step {
        Step {
            diff,
            ..plan::actions::create_namespace::draft("x", 0).step
        }
    }

    #[test]
    fn what_changed_since_is_told_and_what_did_not_is_not() {
        let step = step(vec![
            line("/spec/replicas", Some("5")),
            line("/metadata/labels/tier", Some("web")),
        ]);
        let same = json!({"spec": {"replicas": 5}, "metadata": {"labels": {"tier": "web"}}});
        assert_eq!(drift(&step, 0, &same, "deployment/web"), Vec::<String>::new());
        let moved = json!({"spec": {"replicas": 7}, "metadata": {"labels": {}}});
        let notes = drift(&step, 0, &moved, "deployment/web");
        assert!(notes[0].contains("left at 5 and is 7 now"), "{notes:?}");
        assert!(notes[1].contains("left at web and is (removed) now"), "{notes:?}");
        assert!(drift(&step, 1, &moved, "deployment/other").is_empty());
    }

    #[test]
    fn no_note_tells_a_value_of_a_secret_or_of_an_env() {
        let step = step(vec![
            line("/metadata/annotations/note", Some("(masked)")),
            line("/data/k", Some("old")),
            line("/spec/template/spec/containers/0/env/0/value", Some("old")),
        ]);
        let secret = json!({"kind": "Secret", "metadata": {"annotations": {"note": "hunter2"}}, "data": {"k": "aHVudGVyMg=="}});
        let notes = drift(&step, 0, &secret, "secret/s").join("\n");
        assert!(
            !notes.contains("hunter2") && !notes.contains("aHVudGVyMg"),
            "{notes}"
        );
        let deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"env": [{"name": "P", "value": "hunter2"}]}]}}}});
        let notes = drift(&step, 0, &deployment, "deployment/web").join("\n");
        assert!(!notes.contains("hunter2"), "{notes}");
    }
}
