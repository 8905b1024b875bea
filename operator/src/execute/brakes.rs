//! What stops a step between two of its targets, and while one of them waits for its turn at the API server.

use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use kubechat_core::lifecycle::brakes::{Seen, pulled};
use kubechat_core::lifecycle::command_plan::Withdrawn;
use kubechat_crds::condition::{is_true, types};
use kubechat_crds::{CommandPlan, DecisionKind};

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
    pub(super) fn pulled(&self) -> Option<String> {
        self.process().or_else(|| {
            let policies = self.ctx.policies();
            pulled(&Seen {
                there: self.is_there(),
                withdrawn: self.withdrawn(),
                denied: self.is_denied(),
                policies: policies.as_ref(),
            })
        })
    }

    fn is_there(&self) -> bool {
        let metadata = &self.plan.metadata;
        let (name, namespace) = (metadata.name.as_deref(), metadata.namespace.as_deref());
        let plan = ObjectRef::new(name.unwrap_or_default()).within(namespace.unwrap_or_default());
        let found = self.ctx.stores.plans.get(&plan);
        let found = found.filter(|plan| plan.metadata.uid == metadata.uid);
        found.is_some_and(|plan| plan.metadata.deletion_timestamp.is_none())
    }

    /// What the seal of the turn is worth is judged between steps.
    fn withdrawn(&self) -> Option<Withdrawn> {
        let asked = &self.plan.spec.chat_request_ref;
        let namespace = self.plan.metadata.namespace.as_deref().unwrap_or_default();
        let turn = ObjectRef::new(&asked.name).within(namespace);
        let turn = self.ctx.stores.requests.get(&turn);
        let turn = turn.filter(|t| t.metadata.uid.as_deref() == Some(asked.uid.as_str()));
        match turn.filter(|t| t.metadata.deletion_timestamp.is_none()) {
            None => Some(Withdrawn::TurnGone),
            Some(turn) => turn.spec.cancel.then_some(Withdrawn::Cancelled),
        }
    }

    /// A Deny that counts, as its controller found.
    fn is_denied(&self) -> bool {
        let (metadata, digest) = (&self.plan.metadata, &self.plan.spec.digest);
        self.ctx.stores.approvals.state().iter().any(|decision| {
            let conditions = decision.status.as_ref().map(|s| s.conditions.as_slice());
            decision.spec.decision == DecisionKind::Deny
                && decision.metadata.namespace == metadata.namespace
                && Some(&decision.spec.plan_ref.name) == metadata.name.as_ref()
                && decision.spec.plan_digest == *digest
                && is_true(conditions.unwrap_or_default(), types::ACCEPTED)
        })
    }
}
