//! Changes: from intents to a plan whose every step is allowed to the requester and was accepted by a dry-run.

use std::time::Duration;

use kubechat_core::plan::actions::create_namespace;
use kubechat_core::plan::{self, Draft, Found, Revision, Sidecar, access_needed, diff};
use kubechat_core::{reason, risk};
use kubechat_crds::command_plan::{Access, CommandPlanSpec, Effect, FieldOwner, RequestRef};
use kubechat_crds::intent::{Action, Intent};
use kubechat_crds::{Identity, Level, Mode, Step};
use serde_json::Value;

use super::{Outcome, Stop, Turn, resolve, selected, text};
use crate::cluster::access::{Subject, ask};
use crate::cluster::objects::{ClientDebug, Objects, Query};
use crate::error::Error;

/// Revisions looked at for a rollout-undo.
const MAX_REVISIONS: u32 = 100;

/// A plan for the change intents of a turn.
pub async fn plan(turn: &Turn<'_>, intents: &[Intent]) -> Result<(CommandPlanSpec, Vec<Sidecar>), Stop> {
    let drafts = drafts(turn, intents).await?;
    let dry = intents.iter().any(|i| i.params.dry_run == Some(true));
    assemble(turn, drafts, if dry { Mode::PlanOnly } else { turn.request.spec.mode }, None, vec![]).await
}

/// "What happens if": the plan as words, and no plan.
pub async fn what_if(turn: &Turn<'_>, intents: &[Intent]) -> Result<Outcome, Stop> {
    let changes: Vec<Intent> = intents.iter().filter(|i| !i.action.is_read()).cloned().collect();
    if changes.is_empty() {
        return Err(Stop::needs_input("What change is the question about?", vec![]));
    }
    let (spec, _) = plan(turn, &changes).await?;
    let mut words = format!("It would be a change of level {} (score {}). Nothing was planned or done.", spec.risk.level, spec.risk.score);
    for step in &spec.steps {
        words.push_str(&format!("\n{}: {}\n  undone by: {}", step.id, step.command, step.rollback.why));
    }
    for factor in &spec.risk.factors {
        words.push_str(&format!("\n- {} ({})", factor.text, factor.evidence));
    }
    Ok(Outcome::Answer(text(&words)))
}

async fn drafts(turn: &Turn<'_>, intents: &[Intent]) -> Result<Vec<Draft>, Stop> {
    let mut all: Vec<Draft> = vec![];
    let mut nothing = vec![];
    for intent in intents {
        match one_intent(turn, intent, all.len()).await {
            Ok(drafts) => all.extend(drafts),
            Err(Stop::Halt(halted)) if halted.reason == reason::ANSWERED => nothing.push(halted.message),
            Err(stop) => return Err(stop),
        }
    }
    if all.is_empty() {
        return Err(plan::Refusal::Nothing(nothing.join("\n")).into());
    }
    for (index, draft) in all.iter_mut().enumerate() {
        plan::finish(&mut draft.step, index);
    }
    Ok(all)
}

async fn one_intent(turn: &Turn<'_>, intent: &Intent, index: usize) -> Result<Vec<Draft>, Stop> {
    if intent.action == Action::CreateNamespace {
        turn.bounds.check(turn.request, None, "creating a namespace")?;
        let names = &intent.target.names;
        if names.is_empty() {
            return Err(Stop::needs_input("What should the namespace be called?", vec![]));
        }
        return Ok(names.iter().enumerate().map(|(i, name)| create_namespace::draft(name, index + i)).collect());
    }
    let found = resolve::objects(turn, intent).await?;
    let mut all = vec![];
    if intent.action == Action::RolloutUndo {
        for one in found {
            let revisions = revisions(&turn.person, turn, &one).await?;
            all.extend(plan::draft(intent, &[one], &revisions, turn.now)?);
        }
    } else {
        all = plan::draft(intent, &found, &[], turn.now)?;
    }
    Ok(all)
}

/// Earlier revisions of a workload: ReplicaSets of a Deployment, ControllerRevisions of the others.
pub async fn revisions(person: &ClientDebug, turn: &Turn<'_>, found: &Found) -> Result<Vec<Revision>, Stop> {
    let by_replica_set = found.kind.is("apps", "Deployment");
    let (kind, number) = if by_replica_set {
        ("ReplicaSet", "/metadata/annotations/deployment.kubernetes.io~1revision")
    } else {
        ("ControllerRevision", "/revision")
    };
    let Some(kind) = turn.kinds.known("apps", kind) else { return Ok(vec![]) };
    let namespace = found.object.pointer("/metadata/namespace").and_then(Value::as_str);
    let uid = found.object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    let selector = found.object.pointer("/spec/selector/matchLabels").and_then(Value::as_object).map(|labels| {
        let pairs: Vec<_> = labels.iter().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
        pairs.join(",")
    });
    let query = Query { labels: selector.as_deref(), limit: MAX_REVISIONS, ..Query::default() };
    let list = Objects::new(person, kind, namespace).list(&query).await?;
    let owned = |object: &Value| {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
        owners.into_iter().any(|o| o.get("uid").and_then(Value::as_str) == Some(uid))
    };
    Ok(list
        .items
        .iter()
        .filter(|o| owned(o))
        .filter_map(|o| {
            let value = o.pointer(number)?;
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
            let template = o.pointer(if by_replica_set { "/spec/template" } else { "/data/spec/template" })?;
            let mut template = template.clone();
            if let Some(map) = template.as_object_mut() {
                map.remove("$patch");
            }
            Some(Revision { number, template })
        })
        .collect())
}

/// Checks every step and puts the plan together.
pub async fn assemble(
    turn: &Turn<'_>,
    mut drafts: Vec<Draft>,
    mode: Mode,
    rollback_of: Option<RequestRef>,
    notes: Vec<String>,
) -> Result<(CommandPlanSpec, Vec<Sidecar>), Stop> {
    limits(turn, &drafts)?;
    for draft in &drafts {
        forbidden(turn, &draft.step)?;
    }
    for draft in &mut drafts {
        rights(turn, draft).await?;
        dry_run(turn, draft).await?;
        draft.step.owners = owners(draft);
        draft.step.selected_by = selected::by(turn, draft).await?;
        draft.step.level = risk::floor_level(&draft.step);
    }
    let sidecars: Vec<Sidecar> = drafts.iter().flat_map(|d| d.sidecars.clone()).collect();
    let steps: Vec<Step> = drafts.into_iter().map(|d| d.step).collect();
    let spec = seal(turn, steps, mode, rollback_of, notes)?;
    Ok((spec, sidecars))
}

fn limits(turn: &Turn<'_>, drafts: &[Draft]) -> Result<(), Stop> {
    let (steps, targets) = turn.policies.as_ref().map_or((kubechat_core::policy::MAX_STEPS, kubechat_core::policy::MAX_TARGETS), |p| (p.max_steps(), p.max_targets()));
    let over = |n: usize, limit: i32| i32::try_from(n).map_or(true, |n| n > limit);
    if over(drafts.len(), steps) {
        let message = format!("the change needs {} steps, the limit is {steps}. Nothing was done. Ask for less at a time", drafts.len());
        return Err(Stop::blocked(reason::LIMIT_EXCEEDED, "kubechat", "stepsPerPlan", message));
    }
    if let Some(wide) = drafts.iter().find(|d| over(d.step.targets.len(), targets)) {
        let message = format!("a step would change {} objects, the limit is {targets}. Nothing was done. Narrow it", wide.step.targets.len());
        return Err(Stop::blocked(reason::LIMIT_EXCEEDED, "kubechat", "targetsPerStep", message));
    }
    Ok(())
}

fn forbidden(turn: &Turn<'_>, step: &Step) -> Result<(), Stop> {
    risk::check_forbidden(step).map_err(|f| Stop::blocked(reason::FORBIDDEN_CLASS, "kubechat", f.rule, f.to_string()))?;
    let who = turn.request.spec.requester.as_ref();
    if who.is_some_and(Identity::is_service_account) {
        let message = "changes asked for by a service account need a signed human approval, which this version does not support. Nothing was done. A person asks, or the service account asks for reads";
        return Err(Stop::blocked(reason::APPLIER_IDENTITY, "kubechat", "applier-identity", message));
    }
    Ok(())
}

/// Asks for every right of a step; all must be there.
async fn rights(turn: &Turn<'_>, draft: &mut Draft) -> Result<(), Stop> {
    let subject = Subject::acting(&turn.acting);
    for question in access_needed(&draft.step) {
        let allowed = ask(&turn.ctx.client, &subject, &question).await?;
        if !allowed {
            let hint = if turn.acting.dropped.is_empty() {
                String::new()
            } else {
                format!(
                    " KubeChat does not act with the groups {}: bind the right to you or to another group, for example `kubectl create rolebinding {}-edit --clusterrole=edit --user={} -n {}`.",
                    turn.acting.dropped.join(", "),
                    turn.acting.username.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
                    turn.acting.username,
                    question.namespace.as_deref().unwrap_or("NAMESPACE"),
                )
            };
            let message = format!("{} may not {}. Nothing was done, no plan was made.{hint} Ask for that right, or ask somebody who has it", turn.acting.username, question.describe());
            return Err(Stop::failed(reason::FORBIDDEN, message));
        }
        draft.step.access.push(Access { verb: question.verb.clone(), resource: question.resource_text(), namespace: question.namespace.clone(), allowed });
    }
    Ok(())
}

/// Runs the server's dry-run for every target and keeps the diff.
async fn dry_run(turn: &Turn<'_>, draft: &mut Draft) -> Result<(), Stop> {
    let step = &draft.step;
    let mut lines = vec![];
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
            (Effect::Update, Some(before)) => {
                let patch = patch.ok_or_else(|| Stop::failed(reason::INVALID, "the step has no patch"))?;
                let body = plan::final_patch(&patch, step.subresource.as_deref(), before, "").map_err(|e| Stop::failed(reason::INVALID, e))?;
                let after = api.patch(&target.name, step.subresource.as_deref(), &body, true).await.map_err(refused)?;
                lines.extend(compare(index, step, before, &after));
            }
            (Effect::Create, _) => {
                let manifest = manifest_text(turn, draft).await?;
                let body: Value = serde_json::from_str(&manifest).map_err(|e| Stop::Retry(e.into()))?;
                let after = api.create(&body, true).await.map_err(refused)?;
                lines.extend(diff::diff(index, None, Some(&after)));
            }
            (Effect::Delete, Some(before)) => {
                let uid = target.uid.as_deref().unwrap_or_default();
                api.delete(&target.name, uid, None, step.params.grace_period_seconds, true).await.map_err(refused)?;
                lines.push(kubechat_crds::command_plan::DiffLine {
                    target: i32::try_from(index).unwrap_or(i32::MAX),
                    path: String::new(),
                    before: Some(format!("{}/{}", target.kind.to_lowercase(), plan::object::name(before))),
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
    Ok(())
}

/// The full patch of a draft: inline, or the bytes beside it.
fn patch_text(draft: &Draft) -> Option<String> {
    let beside = || draft.sidecars.iter().find(|s| Some(&s.digest) == draft.step.manifest_digest.as_ref());
    draft.step.patch.clone().or_else(|| Some(String::from_utf8_lossy(&beside()?.bytes).into_owned()))
}

/// The full manifest of a create: inline, beside it, or kept by the plan it undoes.
async fn manifest_text(turn: &Turn<'_>, draft: &Draft) -> Result<String, Stop> {
    let Some(digest) = &draft.step.manifest_digest else {
        return draft.step.manifest.clone().ok_or_else(|| Stop::failed(reason::INVALID, "the step has no manifest"));
    };
    if let Some(sidecar) = draft.sidecars.iter().find(|s| s.digest == *digest) {
        return Ok(String::from_utf8_lossy(&sidecar.bytes).into_owned());
    }
    let uid = turn.request.metadata.uid.as_deref().unwrap_or_default();
    match turn.ctx.audit.kept(uid, digest).await.map_err(Stop::Retry)? {
        Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        None => Err(Stop::failed(reason::INVALID, "the bytes of the manifest are no longer kept, so it cannot be created")),
    }
}

/// The diff of one updated target. A scale answers with the Scale object, which holds only the number.
fn compare(index: usize, step: &Step, before: &Value, after: &Value) -> Vec<kubechat_crds::command_plan::DiffLine> {
    if step.subresource.as_deref() == Some("scale") {
        let number = |o: &Value| serde_json::json!({"spec": {"replicas": o.pointer("/spec/replicas").cloned().unwrap_or_default()}});
        return diff::diff(index, Some(&number(before)), Some(&number(after)));
    }
    diff::diff(index, Some(before), Some(after))
}

fn dry_run_refused(error: Error, command: &str) -> Stop {
    match error.status() {
        Some(status) if status.code == 403 => Stop::failed(reason::FORBIDDEN, format!("{}. Nothing was done, no plan was made", status.message)),
        Some(status) if (400..500).contains(&status.code) && status.code != 429 => Stop::failed(
            reason::DRY_RUN_FAILED,
            format!("the API server refused a dry-run of `{command}`: {}. Nothing was done", status.message),
        ),
        _ => Stop::Retry(error),
    }
}

/// Who else writes the fields that a step changes, from managedFields; HPAs and GitOps appliers put them back.
fn owners(draft: &Draft) -> Vec<FieldOwner> {
    let mut found: Vec<FieldOwner> = vec![];
    for line in &draft.step.diff {
        let Some(before) = usize::try_from(line.target).ok().and_then(|i| draft.before.get(i)) else { continue };
        let managers = before.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
        for entry in managers {
            let manager = entry.get("manager").and_then(Value::as_str).unwrap_or_default();
            let owns = entry.get("fieldsV1").is_some_and(|fields| owns(fields, &line.path));
            let known = found.iter().any(|f| f.field == line.path && f.manager == manager);
            if owns && !known && manager != kubechat_crds::FIELD_MANAGER && found.len() < 20 {
                let will_be_undone = ["kustomize-controller", "helm-controller", "argocd", "horizontal-pod-autoscaler"].iter().any(|m| manager.contains(m));
                found.push(FieldOwner { field: line.path.clone(), manager: manager.to_owned(), will_be_undone });
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

/// The finished spec: judged, with requirement, expiry and digest.
fn seal(turn: &Turn<'_>, steps: Vec<Step>, mode: Mode, rollback_of: Option<RequestRef>, mut notes: Vec<String>) -> Result<CommandPlanSpec, Stop> {
    let risk = risk::judge_steps(&steps);
    for owner in steps.iter().flat_map(|s| &s.owners).filter(|o| o.will_be_undone) {
        notes.push(format!("{} is managed by {}, which will put it back", owner.field, owner.manager));
    }
    notes.truncate(20);
    let level = risk.level.max(Level::Caution);
    let (requirement, policies, age) = match &turn.policies {
        Ok(p) => (p.requirement(level), p.records(), p.max_plan_age(level)),
        // Without a usable policy the plan waits; the requirement that counts is then the live one.
        Err(_) => (vec![], vec![], Duration::from_secs(4 * 3600)),
    };
    let age = jiff::SignedDuration::try_from(age).map_err(|e| Stop::Retry(Error::Internal(e.to_string())))?;
    let mut expires = turn.now.checked_add(age).map_err(|e| Stop::Retry(Error::Internal(e.to_string())))?;
    if let Some(not_after) = &turn.request.spec.not_after {
        expires = expires.min(not_after.0);
    }
    let mut spec = CommandPlanSpec {
        chat_request_ref: RequestRef {
            name: turn.request.metadata.name.clone().unwrap_or_default(),
            uid: turn.request.metadata.uid.clone().unwrap_or_default(),
        },
        requester: turn.request.spec.requester.clone().unwrap_or_default(),
        cluster_ref: None,
        mode,
        steps,
        risk,
        blast_radius: None,
        policies,
        requirement,
        rollback_of,
        notes,
        expires_at: expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        cluster_uid: turn.ctx.cluster_uid.clone(),
        digest: String::new(),
    };
    spec.digest = spec.compute_digest().map_err(|e| Stop::Retry(e.into()))?.to_string();
    Ok(spec)
}
