//! What stops a step before each of its targets, and while one of them waits for its turn at the API server.

use std::sync::Arc;
use std::time::Duration;

use kube::api::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kubechat_core::lifecycle::brakes::{Held, Seen, Shown, has_policies, pulled};
use kubechat_core::lifecycle::decisions::stands;
use kubechat_crds::{ChatRequest, CommandPlan};

use crate::context::Context;

/// Why nothing more is sent at shutdown.
pub(super) const ASKED_TO_END: &str = "the operator was asked to end";

/// The brakes of one plan. Of what stands in the cluster they ask the caches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brakes<'a> {
    ctx: &'a Context,
    plan: &'a CommandPlan,
}

impl<'a> Brakes<'a> {
    pub(super) const fn new(ctx: &'a Context, plan: &'a CommandPlan) -> Self {
        Self { ctx, plan }
    }

    /// Whether nothing new may begin, because the process was asked to end.
    pub(super) fn stopping(&self) -> bool {
        self.ctx.pace.stopping()
    }

    /// Waits, but not beyond the request to end.
    pub(super) async fn sleep(&self, time: Duration) {
        self.ctx.pace.sleep(time).await;
    }

    /// Why this process sends nothing more.
    pub(super) fn process(&self) -> Option<String> {
        if self.ctx.leadership.check().is_err() {
            Some("leadership was lost".to_owned())
        } else {
            self.ctx.pace.must_stop().then(|| ASKED_TO_END.to_owned())
        }
    }

    /// Why nothing more of a step under way is sent: also because somebody stopped it in the cluster.
    pub(super) fn pulled(&self, shown: &mut Shown) -> Option<String> {
        self.process().or_else(|| self.pulled_by_somebody(shown))
    }

    /// Why nothing of it is sent, by what the caches hold now and have held since it was read.
    pub(super) fn pulled_by_somebody(&self, shown: &mut Shown) -> Option<String> {
        let policies = self.ctx.policies();
        let turn = turn(self.ctx, self.plan);
        let metadata = &self.plan.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let plan = plan(self.ctx, namespace, metadata.name.as_deref().unwrap_or_default());
        let plan = plan.filter(|plan| plan.metadata.uid == metadata.uid);
        let seen = Seen {
            plan: held(plan.as_ref().map(|p| &p.metadata)),
            turn: held(turn.as_ref().map(|t| &t.metadata)),
            cancelled: turn.is_some_and(|turn| turn.spec.cancel),
            denied: self.is_denied(),
            policies: policies.as_ref(),
        };
        shown.see(&seen);
        pulled(&seen, *shown)
    }

    /// A Deny that counts, as its controller found; it counts for `gather` too.
    fn is_denied(&self) -> bool {
        let metadata = &self.plan.metadata;
        self.ctx.stores.approvals.state().iter().any(|decision| {
            decision.metadata.namespace == metadata.namespace
                && Some(&decision.spec.plan_ref.name) == metadata.name.as_ref()
                && stands(decision, &self.plan.spec).is_some()
        })
    }
}

/// What the caches held right before everything was read anew.
#[derive(Debug)]
pub(super) struct Before {
    plan: Option<Arc<CommandPlan>>,
    policies: bool,
}

impl Before {
    pub(super) fn look(ctx: &Context, namespace: &str, name: &str) -> Self {
        Self {
            plan: plan(ctx, namespace, name),
            policies: has_policies(ctx.policies().as_ref()),
        }
    }

    /// And the turn of the plan, right before it is read.
    pub(super) fn shown(self, ctx: &Context, read: &CommandPlan) -> Shown {
        let same = |held: Arc<CommandPlan>| held.metadata.uid == read.metadata.uid;
        Shown {
            plan: self.plan.is_some_and(same),
            turn: turn(ctx, read).is_some(),
            policies: self.policies,
        }
    }
}

fn held(found: Option<&ObjectMeta>) -> Held {
    match found {
        None => Held::Absent,
        Some(metadata) if metadata.deletion_timestamp.is_some() => Held::Leaving,
        Some(_) => Held::There,
    }
}

fn plan(ctx: &Context, namespace: &str, name: &str) -> Option<Arc<CommandPlan>> {
    ctx.stores.plans.get(&ObjectRef::new(name).within(namespace))
}

/// The turn that asked for a plan. What its seal is worth is judged between steps.
fn turn(ctx: &Context, plan: &CommandPlan) -> Option<Arc<ChatRequest>> {
    let asked = &plan.spec.chat_request_ref;
    let namespace = plan.metadata.namespace.as_deref().unwrap_or_default();
    let turn = ctx
        .stores
        .requests
        .get(&ObjectRef::new(&asked.name).within(namespace));
    turn.filter(|t| t.metadata.uid.as_deref() == Some(asked.uid.as_str()))
}
