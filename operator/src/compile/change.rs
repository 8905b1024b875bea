//! Changes: from intents to a plan whose every step is allowed to the requester and was accepted by a dry-run.

use std::time::Duration;

use kube::ResourceExt;
use kubechat_core::blast::words;
use kubechat_core::catalogue::{self, Make, Reads};
use kubechat_core::lifecycle::{chat_session, namespaces};
use kubechat_core::plan::actions::create_namespace;
use kubechat_core::plan::{self, Draft, Sidecar, access_needed};
use kubechat_core::{gitops, reason, risk};
use kubechat_crds::command_plan::{Access, CommandPlanSpec, RequestRef, Rollback, RollbackKind};
use kubechat_crds::intent::{Action, Intent};
use kubechat_crds::{Mode, Step};

use super::beside::{new_objects, with_what_is_beside};
use super::{
    Outcome, Stop, Turn, adopts, apply, blast, drain, dry_run, facts, records, resolve, selected, text,
};
use crate::cluster::access::{Subject, ask};
use crate::error::Error;

/// Bytes of a plan at most.
const MAX_PLAN: usize = 256 * 1024;
/// Bytes of manifests that stand in a plan; more stand beside it.
const MAX_MANIFESTS: usize = 64 * 1024;

/// A plan for the change intents of a turn.
pub(super) async fn plan(
    turn: &Turn<'_>,
    intents: &[Intent],
) -> Result<(CommandPlanSpec, Vec<Sidecar>), Stop> {
    let (drafts, notes) = drafts(turn, intents).await?;
    let dry = intents.iter().any(|i| i.params.dry_run == Some(true));
    assemble(
        turn,
        drafts,
        if dry {
            Mode::PlanOnly
        } else {
            turn.request.spec.mode
        },
        None,
        notes,
    )
    .await
}

/// "What happens if": the plan as words, and no plan.
pub(super) async fn what_if(turn: &Turn<'_>, intents: &[Intent]) -> Result<Outcome, Stop> {
    let changes: Vec<Intent> = intents.iter().filter(|i| !i.action.is_read()).cloned().collect();
    if changes.is_empty() {
        return Err(Stop::needs_input("What change is the question about?", vec![]));
    }
    let (spec, _) = plan(turn, &changes).await?;
    let mut answer = format!(
        "It would be a change of level {} (score {}). Nothing was planned or done.",
        spec.risk.level, spec.risk.score
    );
    for step in &spec.steps {
        answer.push_str(&format!(
            "\n{}: {}\n  undone by: {}",
            step.id, step.command, step.rollback.why
        ));
    }
    for factor in &spec.risk.factors {
        answer.push_str(&format!("\n- {}", kubechat_core::risk::told(factor)));
    }
    for line in spec.blast_radius.iter().flat_map(words::lines) {
        answer.push_str(&format!("\n- {line}"));
    }
    Ok(Outcome::Answer(text(&answer)))
}

/// The steps of all intents, and what a reviewer should know beside them.
async fn drafts(turn: &Turn<'_>, intents: &[Intent]) -> Result<(Vec<Draft>, Vec<String>), Stop> {
    let mut all: Vec<Draft> = vec![];
    let mut notes = vec![];
    let mut nothing = vec![];
    for intent in intents {
        match one_intent(turn, intent, all.len(), &mut notes).await {
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
    Ok((all, notes))
}

async fn one_intent(
    turn: &Turn<'_>,
    intent: &Intent,
    index: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Draft>, Stop> {
    if intent.action == Action::CreateNamespace {
        turn.bounds.check(turn.request, None, "creating a namespace")?;
        let names = &intent.target.names;
        if names.is_empty() {
            return Err(Stop::needs_input("What should the namespace be called?", vec![]));
        }
        return Ok(names
            .iter()
            .enumerate()
            .map(|(i, name)| create_namespace::draft(name, index + i))
            .collect());
    }
    if let Some(Make::Object(kind)) = catalogue::change(intent.action).map(|change| &change.make) {
        return new_objects(turn, intent, kind).await;
    }
    if intent.action == Action::Apply {
        return apply::drafts(turn, intent).await;
    }
    let found = resolve::objects(turn, intent).await?;
    if intent.action == Action::Drain {
        let mut each = vec![];
        for node in &found {
            each.push(drain::of_node(turn, intent, node).await?);
        }
        let drained = plan::actions::drain::together(each)?;
        notes.extend(drained.notes);
        return Ok(drained.drafts);
    }
    if catalogue::change(intent.action).is_none_or(|c| c.reads == Reads::Nothing) {
        return Ok(plan::draft(intent, &found, &[], turn.now)?);
    }
    let mut each = vec![];
    for one in found {
        each.push(with_what_is_beside(turn, intent, one, None).await?);
    }
    Ok(plan::together(each)?)
}

/// Checks every step and puts the plan together.
pub(super) async fn assemble(
    turn: &Turn<'_>,
    mut drafts: Vec<Draft>,
    mode: Mode,
    rollback_of: Option<RequestRef>,
    mut notes: Vec<String>,
) -> Result<(CommandPlanSpec, Vec<Sidecar>), Stop> {
    applier(turn)?;
    limits(turn, &drafts)?;
    let steps: Vec<&Step> = drafts.iter().map(|draft| &draft.step).collect();
    if let Some(problem) = plan::contradiction::contradiction(&steps) {
        return Err(Stop::needs_input(
            format!("{problem}. Nothing was done. Ask for one of them; the other can follow when it is done"),
            vec![],
        ));
    }
    for draft in &drafts {
        forbidden(turn, &draft.step)?;
    }
    honest(&mut drafts, limit_of_steps(turn), turn.ctx.guarded());
    lighten(&mut drafts);
    for draft in &mut drafts {
        rights(turn, draft).await?;
        dry_run::dry_run(turn, draft).await?;
        draft.step.owners = dry_run::owners(draft);
        draft.step.selected_by = selected::by(turn, draft).await?;
        draft.step.adopts = adopts::by(turn, draft).await?;
        draft.step.level = risk::floor_level(&draft.step);
    }
    let blast_radius = blast::of_drafts(turn, &drafts).await?;
    let sidecars: Vec<Sidecar> = drafts.iter().flat_map(|d| d.sidecars.clone()).collect();
    let steps: Vec<Step> = drafts.into_iter().map(|d| d.step).collect();
    if let Some(found) = records::forbidden(turn.ctx, &steps, &turn.namespace).await? {
        return Err(forbidden_class(&found));
    }
    if let Some(lost) = risk::records_lost(&steps, &blast_radius) {
        notes.insert(0, lost);
    }
    let mut spec = unsealed(turn, steps, mode, rollback_of, notes);
    spec.blast_radius = Some(blast_radius);
    spec.facts = facts::gather(turn, &spec.steps).await?;
    seal(turn, &mut spec)?;
    if let Ok(policies) = &turn.policies
        && let Some(problem) = namespaces::stops_itself(&spec, policies, turn.now)
    {
        return Err(Stop::needs_input(
            format!("{problem}. Nothing was done. Ask for that step by itself, or as the last one"),
            vec![],
        ));
    }
    fits(&spec)?;
    Ok((spec, sidecars))
}

/// Whether an object may be as large as this plan.
fn fits(spec: &CommandPlanSpec) -> Result<(), Stop> {
    let size = serde_json::to_vec(spec).map_or(usize::MAX, |text| text.len());
    if size <= MAX_PLAN {
        return Ok(());
    }
    let message = format!(
        "the plan would be {size} bytes, the limit is {MAX_PLAN}. Nothing was done. Ask for less at a time"
    );
    Err(Stop::blocked(
        reason::LIMIT_EXCEEDED,
        "kubechat",
        "planSize",
        message,
    ))
}

fn limit_of_steps(turn: &Turn<'_>) -> i32 {
    turn.policies.as_ref().map_or(
        kubechat_core::policy::MAX_STEPS,
        kubechat_core::policy::Effective::max_steps,
    )
}

/// Takes back promises that would not be kept: to delete what nobody may delete, and to create again what one rollback could
/// not create, where each object is a step of it.
fn honest(drafts: &mut [Draft], limit: i32, guarded: risk::Guarded<'_>) {
    for draft in drafts.iter_mut() {
        if let Some(forbidden) = risk::forbidden_undo(&draft.step, guarded) {
            let (does, what) = if draft.step.rollback.kind == RollbackKind::Recreate {
                (
                    "makes it again",
                    "keep a copy first (kubectl get -o yaml): an administrator can create it",
                )
            } else {
                ("deletes there", "an administrator can delete it with kubectl")
            };
            let why = format!("{}, and nobody gets a plan that {does}; {what}", forbidden.text);
            draft.step.rollback = Rollback {
                why,
                ..Rollback::default()
            };
        }
    }
    let recreated = |d: &Draft| {
        if d.step.rollback.kind == RollbackKind::Recreate {
            d.step.targets.len()
        } else {
            0
        }
    };
    let all: usize = drafts.iter().map(recreated).sum();
    if usize::try_from(limit).is_ok_and(|limit| all <= limit) {
        return;
    }
    for draft in drafts
        .iter_mut()
        .filter(|d| d.step.rollback.kind == RollbackKind::Recreate)
    {
        let why = format!("{all} objects are more than the {limit} that one rollback can create again");
        draft.step.rollback = Rollback {
            why,
            ..Rollback::default()
        };
        draft.sidecars.clear();
    }
}

/// Puts manifests beside the plan once they would fill it.
fn lighten(drafts: &mut [Draft]) {
    let inline = |d: &Draft| {
        d.step
            .rollback
            .undo
            .iter()
            .filter_map(|u| u.manifest.as_ref())
            .map(String::len)
            .sum::<usize>()
    };
    if drafts.iter().map(inline).sum::<usize>() <= MAX_MANIFESTS {
        return;
    }
    for draft in drafts {
        let Draft { step, sidecars, .. } = draft;
        for undo in &mut step.rollback.undo {
            let Some(full) = undo.manifest.replace("{}".to_owned()) else {
                continue;
            };
            if undo.manifest_digest.is_none() {
                let digest = format!("sha256:{}", kubechat_crds::sha256_hex(full.as_bytes()));
                undo.manifest_digest = Some(digest.clone());
                sidecars.push(Sidecar {
                    digest,
                    bytes: full.into_bytes(),
                });
            }
        }
    }
}

fn limits(turn: &Turn<'_>, drafts: &[Draft]) -> Result<(), Stop> {
    let (steps, targets) = turn.policies.as_ref().map_or(
        (
            kubechat_core::policy::MAX_STEPS,
            kubechat_core::policy::MAX_TARGETS,
        ),
        |p| (p.max_steps(), p.max_targets()),
    );
    let over = |n: usize, limit: i32| i32::try_from(n).map_or(true, |n| n > limit);
    if over(drafts.len(), steps) {
        let all: Vec<&Step> = drafts.iter().map(|draft| &draft.step).collect();
        let less = plan::actions::drain::fewer(&all, usize::try_from(steps).unwrap_or_default());
        let less = less.unwrap_or_else(|| "Ask for less at a time".to_owned());
        let message = format!(
            "the change needs {} steps, the limit is {steps}. Nothing was done. {less}",
            all.len()
        );
        return Err(Stop::blocked(
            reason::LIMIT_EXCEEDED,
            "kubechat",
            "stepsPerPlan",
            message,
        ));
    }
    if let Some(wide) = drafts.iter().find(|d| over(d.step.targets.len(), targets)) {
        let message = format!(
            "a step would change {} objects, the limit is {targets}. Nothing was done. Narrow it",
            wide.step.targets.len()
        );
        return Err(Stop::blocked(
            reason::LIMIT_EXCEEDED,
            "kubechat",
            "targetsPerStep",
            message,
        ));
    }
    Ok(())
}

fn forbidden(turn: &Turn<'_>, step: &Step) -> Result<(), Stop> {
    risk::check_forbidden(step, turn.ctx.guarded()).map_err(|found| forbidden_class(&found))
}

fn forbidden_class(found: &risk::Forbidden) -> Stop {
    Stop::blocked(
        reason::FORBIDDEN_CLASS,
        gitops::BUILT_IN,
        found.rule,
        found.to_string(),
    )
}

/// A service account changes things only in requests of its own namespace.
fn applier(turn: &Turn<'_>) -> Result<(), Stop> {
    let requester = turn.request.spec.requester.clone().unwrap_or_default();
    gitops::may_change(&requester, &turn.namespace).map_err(|why| {
        Stop::blocked(
            reason::APPLIER_IDENTITY,
            gitops::BUILT_IN,
            gitops::APPLIER_IDENTITY,
            why,
        )
    })
}

/// Asks for every right of a step; all must be there.
async fn rights(turn: &Turn<'_>, draft: &mut Draft) -> Result<(), Stop> {
    let subject = Subject::acting(&turn.acting);
    for question in access_needed(&draft.step) {
        let allowed = ask(&turn.ctx.client, &subject, &question).await?;
        if !allowed {
            let message = format!(
                "{} may not {}. Nothing was done, no plan was made. Ask for that right, or ask somebody who has it",
                turn.acting.username,
                question.describe()
            );
            return Err(Stop::failed(reason::FORBIDDEN, message));
        }
        draft.step.access.push(Access {
            verb: question.verb.clone(),
            resource: question.resource_text(),
            namespace: question.namespace.clone(),
            allowed,
        });
    }
    Ok(())
}

/// The plan without judgement, requirement, expiry and digest.
fn unsealed(
    turn: &Turn<'_>,
    steps: Vec<Step>,
    mode: Mode,
    rollback_of: Option<RequestRef>,
    mut notes: Vec<String>,
) -> CommandPlanSpec {
    for owner in steps.iter().flat_map(|s| &s.owners).filter(|o| o.will_be_undone) {
        notes.push(format!(
            "{} is managed by {}, which will put it back",
            owner.field, owner.manager
        ));
    }
    notes.truncate(20);
    CommandPlanSpec {
        chat_request_ref: RequestRef {
            name: turn.request.metadata.name.clone().unwrap_or_default(),
            uid: turn.request.metadata.uid.clone().unwrap_or_default(),
        },
        requester: turn.request.spec.requester.clone().unwrap_or_default(),
        mode,
        steps,
        rollback_of,
        notes,
        cluster_uid: turn.ctx.cluster_uid.clone(),
        ..CommandPlanSpec::default()
    }
}

/// Judges a plan whose steps, blast radius and facts stand, and closes it with requirement, expiry and digest.
fn seal(turn: &Turn<'_>, spec: &mut CommandPlanSpec) -> Result<(), Stop> {
    spec.risk = risk::judge(spec);
    // Without a usable policy the plan waits; the requirement that counts is then the live one.
    let mut age = Duration::from_secs(4 * 3600);
    if let Ok(policies) = &turn.policies {
        let found = policies.evaluate(spec, turn.now);
        if let Some(denial) = found.denied {
            return Err(Stop::blocked(
                reason::POLICY_DENIED,
                &denial.policy,
                &denial.rule,
                denial.message,
            ));
        }
        spec.risk.score = spec.risk.score.max(found.level.score_floor());
        spec.risk.level = found.level;
        spec.requirement = found.requirement;
        spec.notes.extend(found.notes);
        spec.notes.truncate(20);
        spec.policies = found.records;
        age = policies.max_plan_age(found.level);
    }
    if let Some(session) = &turn.session {
        let word = chat_session::confirmation(&session.name_any(), &session.spec, spec);
        spec.requirement.extend(word);
    }
    let age = jiff::SignedDuration::try_from(age).map_err(|e| Stop::Retry(Error::Internal(e.to_string())))?;
    let mut expires = turn
        .now
        .checked_add(age)
        .map_err(|e| Stop::Retry(Error::Internal(e.to_string())))?;
    if let Some(not_after) = &turn.request.spec.not_after {
        // A service account's plan waits for Git, not for a person at a terminal: its own limit holds.
        expires = if spec.requester.is_service_account() {
            not_after.0
        } else {
            expires.min(not_after.0)
        };
    }
    spec.expires_at = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    spec.digest = spec
        .compute_digest()
        .map_err(|e| Stop::Retry(e.into()))?
        .to_string();
    Ok(())
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
