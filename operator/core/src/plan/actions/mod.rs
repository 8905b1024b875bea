//! The changes of the catalogue, one file each. A file's `CHANGE` says all there is to say of its action: what a bare name
//! may mean, which parameters it reads, what is written for one object, how dangerous that is at least, what undoes it,
//! and the kubectl line shown for it. Everything else (risk, blast radius, resolution, docs/actions.md) reads it there.

mod annotate;
pub mod apply;
mod autoscale;
mod bind_role;
pub(crate) mod change;
mod container;
mod cordon;
mod create_config_map;
mod create_cron_job;
mod create_deployment;
mod create_ingress;
mod create_job;
mod create_limit_range;
pub mod create_namespace;
pub mod create_network_policy;
mod create_pdb;
mod create_quota;
mod create_service_account;
mod delete;
pub mod drain;
pub mod evict;
mod expand_pvc;
mod expose;
mod label;
pub mod make;
mod opens;
mod patch;
pub mod recreate;
mod restart;
mod rollout_pause;
mod rollout_undo;
mod scale;
mod set_env;
mod set_image;
mod set_resources;
mod suspend;
mod taint;
mod unsaid;

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Rollback, RollbackKind, Undo};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use serde_json::Value;

pub use change::Asked;
pub use change::Line;
pub use change::{Beside, Change, Kinds, Make, Mark, Pods, Reads};

use super::{Draft, Found, Refusal, blank, object, target};
use crate::catalogue::{self, Entry, reads};

/// What the catalogue says of each action: the one list of files.
#[must_use]
pub(crate) const fn entry(action: Action) -> Entry {
    match action {
        Action::Scale => Entry::of(&scale::CHANGE),
        Action::Restart => Entry::of(&restart::CHANGE),
        Action::SetImage => Entry::of(&set_image::CHANGE),
        Action::SetEnv => Entry::of(&set_env::CHANGE),
        Action::SetResources => Entry::of(&set_resources::CHANGE),
        Action::RolloutUndo => Entry::of(&rollout_undo::CHANGE),
        Action::RolloutPause => Entry::of(&rollout_pause::PAUSE),
        Action::RolloutResume => Entry::of(&rollout_pause::RESUME),
        Action::Autoscale => Entry::of(&autoscale::CHANGE),
        Action::Suspend => Entry::of(&suspend::SUSPEND),
        Action::Resume => Entry::of(&suspend::RESUME),
        Action::Delete => Entry::of(&delete::CHANGE),
        Action::Label => Entry::of(&label::CHANGE),
        Action::Annotate => Entry::of(&annotate::CHANGE),
        Action::Patch => Entry::of(&patch::CHANGE),
        Action::ExpandPvc => Entry::of(&expand_pvc::CHANGE),
        Action::Cordon => Entry::of(&cordon::CORDON),
        Action::Uncordon => Entry::of(&cordon::UNCORDON),
        Action::Evict => Entry::of(&evict::CHANGE),
        Action::Drain => Entry::of(&drain::CHANGE),
        Action::Taint => Entry::of(&taint::TAINT),
        Action::Untaint => Entry::of(&taint::UNTAINT),
        Action::CreateDeployment => Entry::of(&create_deployment::CHANGE),
        Action::Expose => Entry::of(&expose::CHANGE),
        Action::CreateConfigMap => Entry::of(&create_config_map::CHANGE),
        Action::CreateJob => Entry::of(&create_job::CHANGE),
        Action::CreateCronJob => Entry::of(&create_cron_job::CHANGE),
        Action::CreatePdb => Entry::of(&create_pdb::CHANGE),
        Action::CreateQuota => Entry::of(&create_quota::CHANGE),
        Action::CreateLimitRange => Entry::of(&create_limit_range::CHANGE),
        Action::CreateNetworkPolicy => Entry::of(&create_network_policy::CHANGE),
        Action::CreateIngress => Entry::of(&create_ingress::CHANGE),
        Action::CreateServiceAccount => Entry::of(&create_service_account::CHANGE),
        Action::BindRole => Entry::of(&bind_role::CHANGE),
        Action::Apply => Entry::of(&apply::CHANGE),
        Action::CreateNamespace => Entry::of(&create_namespace::CHANGE),
        Action::Recreate => Entry::of(&recreate::CHANGE),
        Action::List => reads::LIST,
        Action::Get => reads::GET,
        Action::Describe => reads::DESCRIBE,
        Action::Logs => reads::LOGS,
        Action::Events => reads::EVENTS,
        Action::Count => reads::COUNT,
        Action::RolloutStatus => reads::ROLLOUT_STATUS,
        Action::RolloutHistory => reads::ROLLOUT_HISTORY,
        Action::Diff => reads::DIFF,
        Action::Compare => reads::COMPARE,
        Action::CanI => reads::CAN_I,
        Action::Top => reads::TOP,
        Action::Explain => reads::EXPLAIN,
        Action::Find => reads::FIND,
    }
}

/// The step for one object.
pub(super) fn draft_one(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    match catalogue::change(asked.intent.action).map(|c| &c.make) {
        Some(Make::Of(draft)) => draft(asked),
        Some(Make::New | Make::Given | Make::Object(_) | Make::Kept | Make::Parts) | None => {
            Err(Refusal::Invalid(format!(
                "{} does not change an existing object",
                asked.intent.action
            )))
        }
    }
}

/// Whether steps of the action of this name remove their targets. An action that is not known removes.
#[must_use]
pub fn removes(action: &str) -> bool {
    let known = Action::ALL.iter().find(|known| known.as_str() == action);
    known.is_none_or(|known| matches!(known, Action::Delete | Action::Evict))
}

/// The step as a kubectl line, for people. Nothing ever runs it.
#[must_use]
pub fn command(step: &Step) -> String {
    let Some(first) = step.targets.first() else {
        return String::new();
    };
    let line = Line::of(first, &step.targets);
    let body = match catalogue::change(step.action) {
        Some(change) => (change.line)(step, &line),
        None => format!("{} {}", step.action, line.objects),
    };
    let place = first
        .namespace
        .as_ref()
        .map(|n| format!(" -n {n}"))
        .unwrap_or_default();
    format!("kubectl {body}{place}")
}

/// A word of a kubectl line, in quotes where a shell would read more into it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A draft of an update step for one object.
fn update(intent: &Intent, found: &Found, params: IntentParams, patch: &Value, rollback: Rollback) -> Draft {
    let mut step = blank(
        intent.action,
        Effect::Update,
        vec![target(&found.kind, &found.object)],
        params,
    );
    step.patch = Some(patch.to_string());
    step.rollback = rollback;
    Draft {
        step,
        sidecars: vec![],
        before: vec![found.object.clone()],
    }
}

/// A rollback by the inverse action with these parameters.
fn inverse(action: Action, params: IntentParams, why: String) -> Rollback {
    Rollback {
        kind: RollbackKind::Inverse,
        action: Some(action),
        params: None,
        undo: vec![Undo {
            params,
            manifest: None,
            manifest_digest: None,
        }],
        why,
    }
}

/// No rollback, for a reason.
fn irreversible(why: impl Into<String>) -> Rollback {
    Rollback {
        kind: RollbackKind::None,
        action: None,
        params: None,
        undo: vec![],
        why: why.into(),
    }
}

/// `deployment/web`.
fn label_of(found: &Found) -> String {
    format!(
        "{}/{}",
        found.kind.kind.to_lowercase(),
        object::name(&found.object)
    )
}

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod autoscale_tests;
#[cfg(test)]
pub(super) mod changes_tests;
#[cfg(test)]
mod creates_tests;
#[cfg(test)]
mod delete_tests;
#[cfg(test)]
mod drain_tests;
#[cfg(test)]
mod taint_tests;
#[cfg(test)]
mod unsaid_tests;
