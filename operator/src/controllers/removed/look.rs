//! Executions that the log leaves open and whose plans are gone, and what all looks for removed plans have in common.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kubechat_crds::CommandPlan;

use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::execute;
use crate::past::{Executions, Removed};

/// How a look for removed plans went.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// One of them is under way yet, so that the log does not say all of it.
    pub(super) waits: bool,
    /// Of one it could not be found out or told: worth trying again.
    pub(super) again: bool,
    /// Of these it never will be: plan, its name, and what of the log cannot be read.
    pub(super) unreadable: Vec<(String, String, String)>,
}

impl Looked {
    /// Of this plan it failed. What cannot be read keeps nobody from trying again what can.
    pub(super) fn failed(&mut self, plan: &str, name: &str, problem: Error) {
        match problem {
            Error::Audit(kubechat_audit::Error::Integrity { why }) => {
                self.unreadable.push((plan.to_owned(), name.to_owned(), why));
            }
            problem => {
                tracing::warn!(%problem, plan = %name, "what became of a removed plan is not told yet; trying again");
                self.again = true;
            }
        }
    }

    /// And that.
    pub(super) fn and(&mut self, other: Self) {
        self.waits |= other.waits;
        self.again |= other.again;
        self.unreadable.extend(other.unreadable);
    }
}

/// Tells of plans that were removed after their execution had begun and before its end, as far as the log tells of no end:
/// while no operator led, or otherwise unseen.
///
/// # Errors
/// When the log does not answer.
pub(super) async fn left_open(
    ctx: &Context,
    past: &Removed,
    known: &mut Executions,
) -> Result<Looked, Error> {
    // From here on the watch tells of each that leaves.
    ctx.stores.ready().await?;
    known.learn(&ctx.audit).await?;
    let mut looked = Looked::default();
    for (uid, name) in known.open() {
        match ended(ctx, past, &uid, &name).await {
            Ok(Fate::There) => {}
            Ok(Fate::UnderWay) => looked.waits = true,
            Ok(Fate::Settled) => known.close(&uid),
            Err(problem) => {
                let lasting = matches!(problem, Error::Audit(kubechat_audit::Error::Integrity { .. }));
                looked.failed(&uid, &name, problem);
                if lasting {
                    known.close(&uid);
                }
            }
        }
    }
    Ok(looked)
}

/// What became of a plan whose execution the log leaves open.
enum Fate {
    /// It is there, so somebody will say.
    There,
    /// A step of it is perhaps being sent.
    UnderWay,
    /// It is told by now, or it had ended.
    Settled,
}

async fn ended(ctx: &Context, past: &Removed, uid: &str, name: &str) -> Result<Fate, Error> {
    let execution = ctx.audit.execution(uid).await?;
    if !execution.is_open() {
        return Ok(Fate::Settled);
    }
    let namespace = execution.namespace();
    if is_there(ctx, namespace, name, uid).await? {
        return Ok(Fate::There);
    }
    let under_way = namespace.map_or_else(
        || past.is_any_under_way(name),
        |namespace| past.is_under_way(namespace, name),
    );
    if under_way {
        return Ok(Fate::UnderWay);
    }
    execute::left_open(ctx, plan(ctx, namespace, name, uid)).await?;
    Ok(Fate::Settled)
}

/// Whether the API server has the plan, also where the cache leaves it out because it cannot be read; wherever it is, where
/// its namespace is not known.
pub(super) async fn is_there(
    ctx: &Context,
    namespace: Option<&str>,
    name: &str,
    uid: &str,
) -> Result<bool, Error> {
    let Some(namespace) = namespace else {
        let api: Api<CommandPlan> = Api::all(ctx.client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = call("look for the plan", api.list_metadata(&named)).await?;
        return Ok(found.items.iter().any(|plan| plan.uid().as_deref() == Some(uid)));
    };
    let api: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), namespace);
    match call("read the plan", api.get_metadata(name)).await {
        Ok(found) => Ok(found.metadata.uid.as_deref() == Some(uid)),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A plan that is gone, for Events.
pub(super) fn plan(ctx: &Context, namespace: Option<&str>, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", kubechat_crds::GROUP, kubechat_crds::VERSION)),
        kind: Some("CommandPlan".to_owned()),
        namespace: Some(namespace.unwrap_or(&ctx.namespace).to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}
