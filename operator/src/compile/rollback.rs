//! Undoing a plan: a new plan with the reverse steps in reverse order, under the same rules.

use kube::Api;
use kubechat_core::plan::actions::recreate;
use kubechat_core::plan::object::masked;
use kubechat_core::plan::reach::{Reached, reached};
use kubechat_core::plan::{self, Draft, Found, KindRef, Same, Sidecar};
use kubechat_core::reason;
use kubechat_crds::command_plan::{RequestRef, RollbackKind, StepStatus, Target, Undo};
use kubechat_crds::condition::{clip, is_finished};
use kubechat_crds::intent::{Action, Intent, IntentTarget, Span};
use kubechat_crds::{CommandPlan, Step, StepState};
use serde_json::Value;

use super::{Outcome, Stop, Turn, beside, change};
use crate::cluster::client::call;
use crate::cluster::objects::Objects;
use crate::error::Error;
use crate::execute::{did_something, mark};

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
    if let Some(why) = unfinished(&undone) {
        return Err(Stop::failed(reason::INVALID, why));
    }
    let states = undone.status.iter().flat_map(|s| &s.steps);
    let done: Vec<(&Step, &StepStatus)> = states
        .filter(|state| did_something(state))
        .filter_map(|state| {
            let step = undone.spec.steps.iter().find(|s| s.id == state.id)?;
            Some((step, state))
        })
        .collect();
    if done.is_empty() {
        return Err(Stop::failed(
            reason::INVALID,
            format!("plan {name} did nothing, so there is nothing to undo"),
        ));
    }
    let mut drafts = vec![];
    let mut notes = vec![];
    for (step, state) in done.into_iter().rev() {
        if step.rollback.kind == RollbackKind::None {
            notes.push(format!(
                "{} of {name} is not undone: {}",
                step.id, step.rollback.why
            ));
            continue;
        }
        let labels: Vec<String> = step.targets.iter().map(mark::label).collect();
        let mut untouched = vec![];
        for (index, target) in step.targets.iter().enumerate().rev() {
            let Some(undo) = step.rollback.undo_of(index) else {
                continue;
            };
            let traced = traced(turn, &undone, step, state, target).await?;
            let reached = reached(state, &labels, index, traced);
            if reached == Reached::Untouched {
                untouched.extend(labels.get(index).map(String::as_str));
                continue;
            }
            let back = Back {
                undone: &undone,
                step,
                index,
                target,
                made: state.made.as_deref(),
                undo: &undo,
                reached,
            };
            for draft in back.reverse(turn, drafts.len(), &mut notes).await? {
                plan::join(&mut drafts, draft);
            }
        }
        if !untouched.is_empty() {
            untouched.reverse();
            let note = format!(
                "left alone, because {} did not change it: {}",
                step.id,
                untouched.join(", ")
            );
            notes.push(clip(note, 1000));
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

/// Why a plan cannot be undone yet: what is under way could go on after it was undone.
fn unfinished(undone: &CommandPlan) -> Option<String> {
    let conditions = undone.status.as_ref().map(|s| s.conditions.as_slice());
    let name = undone.metadata.name.as_deref().unwrap_or_default();
    (!is_finished(conditions.unwrap_or_default())).then(|| {
        format!(
            "plan {name} is not finished, so it cannot be undone yet. Nothing was done. Wait for its end (kubectl kubechat watch {name}), or withdraw it first (kubectl kubechat cancel {name}), then ask again"
        )
    })
}

/// The id of a step of the plan that is undone.
fn step_id(undone: &CommandPlan, step: &Step) -> String {
    let uid = undone.metadata.uid.as_deref().unwrap_or_default();
    let place = undone.spec.steps.iter().position(|s| s.id == step.id);
    plan::step_id(uid, place.unwrap_or_default(), step)
}

/// Whether a target of a step whose outcome is not known bears its mark by now.
async fn traced(
    turn: &Turn<'_>,
    undone: &CommandPlan,
    step: &Step,
    state: &StepStatus,
    target: &Target,
) -> Result<bool, Error> {
    if state.state != StepState::Unknown {
        return Ok(false);
    }
    mark::bears_mark(&turn.person, step, target, &step_id(undone, step)).await
}

/// One target of one step that is undone.
struct Back<'a> {
    undone: &'a CommandPlan,
    step: &'a Step,
    index: usize,
    target: &'a Target,
    /// UID of what the step made.
    made: Option<&'a str>,
    undo: &'a Undo,
    reached: Reached,
}

impl Back<'_> {
    /// The drafts that undo it. What changed since is noted, and what is not known.
    async fn reverse(&self, turn: &Turn<'_>, at: usize, notes: &mut Vec<String>) -> Result<Vec<Draft>, Stop> {
        let Self {
            undone,
            step,
            index,
            target,
            made,
            undo,
            reached,
        } = *self;
        let what = mark::label(target);
        turn.bounds
            .check(turn.request, target.namespace.as_deref(), &what)?;
        let kind = kind_of(turn, target);
        let now = Objects::new(&turn.person, &kind, target.namespace.as_deref())
            .find(&target.name)
            .await?;
        let action = step.rollback.action.unwrap_or(Action::Recreate);
        if action == Action::Recreate {
            if let Some(there) = now {
                notes.push(format!("{what} {}", still_there(target, &there)));
                return Ok(vec![]);
            }
            if reached == Reached::Unknown {
                notes.push(format!(
                    "it is not known whether {} deleted {what}, which is gone",
                    step.id
                ));
            }
            let mut draft =
                recreate::draft(target, undo, at).map_err(|e| Stop::failed(reason::INVALID, e))?;
            if let Some(digest) = &undo.manifest_digest {
                draft.sidecars.push(kept(turn, undone, digest, &what).await?);
            }
            return Ok(vec![draft]);
        }
        let Some(object) = now else {
            notes.push(format!("{what} is gone, so {} of it is not undone", step.id));
            return Ok(vec![]);
        };
        let same = plan::is_the_one(step, target, &object, &step_id(undone, step), made);
        if let Some(why) = not_this_one(same, step, target) {
            notes.push(why);
            return Ok(vec![]);
        }
        let found = Found { kind, object };
        let scale = if action == Action::Scale {
            beside::scale_of(turn, &found).await?
        } else {
            None
        };
        let number = scale.as_ref().and_then(plan::scaling::of_scale);
        let number = number.map(|n| serde_json::json!({"spec": {"replicas": n}}));
        let now = number.as_ref().unwrap_or(&found.object);
        if reached == Reached::Unknown {
            notes.push(format!("it is not known whether {} changed {what}", step.id));
        }
        notes.extend(drift(step, index, now, &what, reached));
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
        let bytes = match &undo.manifest_digest {
            Some(digest) => {
                let sidecar = kept(turn, undone, digest, &what).await?;
                Some(serde_json::from_slice(&sidecar.bytes).map_err(|e| Stop::Retry(e.into()))?)
            }
            None => None,
        };
        match beside::with_what_is_beside(turn, &intent, found, bytes.as_ref()).await? {
            Ok(drafts) => Ok(drafts),
            Err(plan::Refusal::Nothing(why)) => {
                notes.push(why);
                Ok(vec![])
            }
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// Why an object is left alone that may not be the one that the step changed or made.
fn not_this_one(same: Same, step: &Step, target: &Target) -> Option<String> {
    let (what, id) = (mark::label(target), &step.id);
    match same {
        Same::Yes => None,
        Same::No => Some(format!(
            "{what} is another object by now (it was deleted and created again), so {id} of it is not undone"
        )),
        Same::Unknown => Some(format!(
            "whether {what} is the object of {id} is not known: its UID was not recorded, and it bears no mark of {id} by now. It was changed since, or deleted and created again. So {id} of it is not undone. If it is to go, look at it and ask: delete {} {}",
            target.kind.to_lowercase(),
            target.name
        )),
    }
}

/// Why a deleted object is not made again, given what stands under its name.
fn still_there(target: &Target, there: &Value) -> &'static str {
    let uid = there.pointer("/metadata/uid").and_then(Value::as_str);
    if uid != target.uid.as_deref() {
        "is there again and is left alone"
    } else if there.pointer("/metadata/deletionTimestamp").is_some() {
        "is still being deleted, so it cannot be created again yet; ask again when it is gone"
    } else {
        "was not deleted and is left alone"
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
        Stop::failed(reason::INVALID, format!("what is needed to bring {what} back is no longer kept (or is not what was recorded), so it cannot be undone. Nothing was done"))
    })?;
    Ok(Sidecar {
        digest: digest.to_owned(),
        bytes,
    })
}

/// Fields that no longer stand as the undone plan left them, or was to leave them.
fn drift(step: &Step, index: usize, object: &Value, what: &str, reached: Reached) -> Vec<String> {
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
                let path = &line.path;
                let note = if reached == Reached::Unknown {
                    format!("{path} of {what} is {is} now; {} was to make it {was}", step.id)
                } else {
                    format!("changed since: {path} of {what} was left at {was} and is {is} now")
                };
                clip(note, 1000)
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
        assert_eq!(
            drift(&step, 0, &same, "deployment/web", Reached::Changed),
            Vec::<String>::new()
        );
        let moved = json!({"spec": {"replicas": 7}, "metadata": {"labels": {}}});
        let notes = drift(&step, 0, &moved, "deployment/web", Reached::Changed);
        assert!(notes[0].contains("left at 5 and is 7 now"), "{notes:?}");
        assert!(notes[1].contains("left at web and is (removed) now"), "{notes:?}");
        assert!(drift(&step, 1, &moved, "deployment/other", Reached::Changed).is_empty());
    }

    #[test]
    fn of_a_target_that_nobody_knows_about_it_is_not_said_that_it_changed_since() {
        let step = step(vec![line("/spec/replicas", Some("5"))]);
        let now = json!({"spec": {"replicas": 7}});
        let notes = drift(&step, 0, &now, "deployment/web", Reached::Unknown);
        assert!(!notes[0].contains("changed since"), "{notes:?}");
        assert!(notes[0].contains("is 7 now"), "{notes:?}");
    }

    #[test]
    fn an_object_that_is_still_there_is_told_apart_from_one_that_is_there_again() {
        let target = Target {
            uid: Some("u".into()),
            ..Target::default()
        };
        for (there, said) in [
            (json!({"metadata": {"uid": "other"}}), "there again"),
            (
                json!({"metadata": {"uid": "other", "deletionTimestamp": "x"}}),
                "there again",
            ),
            (
                json!({"metadata": {"uid": "u", "deletionTimestamp": "x"}}),
                "ask again when it is gone",
            ),
            (json!({"metadata": {"uid": "u"}}), "was not deleted"),
        ] {
            assert!(still_there(&target, &there).contains(said), "{there}");
        }
    }

    #[test]
    fn what_may_be_another_object_is_left_alone_and_only_what_is_known_is_said() {
        let step = step(vec![]);
        let target = Target {
            kind: "ConfigMap".into(),
            name: "settings".into(),
            ..Target::default()
        };
        assert_eq!(not_this_one(Same::Yes, &step, &target), None);
        let other = not_this_one(Same::No, &step, &target).unwrap();
        assert!(
            other.contains("configmap/settings is another object by now"),
            "{other}"
        );
        let unknown = not_this_one(Same::Unknown, &step, &target).unwrap();
        assert!(!unknown.contains("is another object"), "{unknown}");
        for words in [
            "is not known",
            "was changed since, or deleted and created again",
            "delete configmap settings",
        ] {
            assert!(unknown.contains(words), "{words:?} is not in {unknown}");
        }
    }

    #[test]
    fn a_plan_that_is_not_finished_is_not_undone_yet() {
        let plan = |status: Option<&str>| {
            let mut plan = CommandPlan::new("p", kubechat_crds::CommandPlanSpec::default());
            let now = jiff::Timestamp::UNIX_EPOCH;
            plan.status = status.map(|status| {
                let mut new = kubechat_crds::CommandPlanStatus::default();
                let kind = kubechat_crds::condition::types::SUCCEEDED;
                kubechat_crds::condition::set(&mut new.conditions, kind, status, "R", "m", None, now);
                new
            });
            plan
        };
        for open in [None, Some("Unknown")] {
            let why = unfinished(&plan(open)).unwrap();
            assert!(why.contains("kubectl kubechat cancel p"), "{why}");
        }
        for ended in [Some("True"), Some("False")] {
            assert_eq!(unfinished(&plan(ended)), None);
        }
    }

    #[test]
    fn no_note_tells_a_value_of_a_secret_or_of_an_env() {
        let step = step(vec![
            line("/metadata/annotations/note", Some("(masked)")),
            line("/data/k", Some("old")),
            line("/spec/template/spec/containers/0/env/0/value", Some("old")),
        ]);
        let secret = json!({"kind": "Secret", "metadata": {"annotations": {"note": "hunter2"}}, "data": {"k": "aHVudGVyMg=="}});
        let notes = drift(&step, 0, &secret, "secret/s", Reached::Changed).join("\n");
        assert!(
            !notes.contains("hunter2") && !notes.contains("aHVudGVyMg"),
            "{notes}"
        );
        let deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"env": [{"name": "P", "value": "hunter2"}]}]}}}});
        let notes = drift(&step, 0, &deployment, "deployment/web", Reached::Unknown).join("\n");
        assert!(!notes.contains("hunter2"), "{notes}");
    }
}
