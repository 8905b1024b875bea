//! Reads: answered at once, live, with the requester's rights.

mod can_i;
mod compare;
mod describe;
mod events;
mod explain;
mod find;
mod history;
mod list;
mod logs;
mod rollout;
mod top;

use kubechat_core::plan::Found;
use kubechat_crds::ObjectId;
use kubechat_crds::chat_request::{Answer, Citation};
use kubechat_crds::intent::{Action, Intent};
use serde_json::Value;

use super::{Stop, Turn, answer};

/// The answer to all reads of a turn.
pub(super) async fn answer(turn: &Turn<'_>, intents: &[Intent]) -> Result<Answer, Stop> {
    let mut answers = vec![];
    for intent in intents {
        answers.push(one(turn, intent).await?);
    }
    Ok(answer::join(answers))
}

async fn one(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    match intent.action {
        Action::List => list::list(turn, intent).await,
        Action::Get => list::get(turn, intent).await,
        Action::Count => list::count(turn, intent).await,
        Action::Describe => describe::describe(turn, intent).await,
        Action::Events => events::events(turn, intent).await,
        Action::Logs => logs::logs(turn, intent).await,
        Action::RolloutStatus => rollout::status(turn, intent).await,
        Action::RolloutHistory => history::history(turn, intent).await,
        Action::Diff if intent.params.manifest.is_some() => compare::with_manifest(turn, intent).await,
        Action::Diff => history::diff(turn, intent).await,
        Action::Compare => compare::compare(turn, intent).await,
        Action::CanI => can_i::can_i(turn, intent).await,
        Action::Top => top::top(turn, intent).await,
        Action::Explain => explain::explain(turn, intent).await,
        Action::Find => find::find(turn, intent).await,
        Action::Scale
        | Action::Restart
        | Action::SetImage
        | Action::SetEnv
        | Action::SetResources
        | Action::RolloutUndo
        | Action::RolloutPause
        | Action::RolloutResume
        | Action::Autoscale
        | Action::Suspend
        | Action::Resume
        | Action::Delete
        | Action::Label
        | Action::Annotate
        | Action::Patch
        | Action::ExpandPvc
        | Action::Cordon
        | Action::Uncordon
        | Action::CreateDeployment
        | Action::Expose
        | Action::CreateConfigMap
        | Action::CreateJob
        | Action::CreateCronJob
        | Action::CreatePdb
        | Action::CreateQuota
        | Action::CreateLimitRange
        | Action::CreateNetworkPolicy
        | Action::CreateIngress
        | Action::CreateServiceAccount
        | Action::BindRole
        | Action::Apply
        | Action::Evict
        | Action::Drain
        | Action::Taint
        | Action::Untaint
        | Action::CreateNamespace
        | Action::Recreate => Err(Stop::failed(
            kubechat_core::reason::INVALID,
            format!("{} is no read", intent.action),
        )),
    }
}

/// What an answer rests on.
fn citation(found: &Found) -> Citation {
    let text = |pointer: &str| {
        found
            .object
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Citation {
        object: ObjectId {
            group: found.kind.group.clone(),
            kind: found.kind.kind.clone(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
            uid: text("/metadata/uid"),
        },
        resource_version: text("/metadata/resourceVersion").unwrap_or_default(),
    }
}

/// ` in namespace x`, ` in all namespaces`, or nothing.
fn place(namespaced: bool, namespace: Option<&str>) -> String {
    match (namespaced, namespace) {
        (true, Some(namespace)) => format!(" in namespace {namespace}"),
        (true, None) => " in all namespaces".to_owned(),
        (false, _) => String::new(),
    }
}
