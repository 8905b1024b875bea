//! Telling of removed plans, one after another. What fails is tried again by a timer, while the queue is read on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kubechat_core::reason;
use kubechat_crds::CommandPlan;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::emergency::{Trusted, Unreviewed, meanwhile};
use super::look::{Looked, left_open};
use super::{Left, MAX_WAITING};
use crate::context::Context;
use crate::error::Error;
use crate::execute;
use crate::leader::LEASE;
use crate::past::{Emergencies, Executions, Removed};

/// Until what failed is tried again.
const AGAIN: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(5)
};
/// The same while the process ends.
const SOON: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(1)
};

/// What is to be told. Whoever is dropped while he tells has forgotten nothing: each stands here until it is told.
pub(super) struct Telling<'a> {
    ctx: &'a Context,
    past: &'a Arc<Removed>,
    emergencies: Emergencies,
    executions: Executions,
    unreviewed: Vec<Unreviewed>,
    midway: Vec<CommandPlan>,
    /// When those are tried again of which one failed.
    told_again: Option<Instant>,
    /// The log is to be asked.
    owed: Option<Trusted>,
    /// When it is asked again, where that failed.
    asked_again: Option<Instant>,
    /// One of those that it tells of is under way yet.
    waits: bool,
    /// What of the log cannot be read and was heard of: plans, and the log itself (no name).
    heard: BTreeSet<String>,
}

impl<'a> Telling<'a> {
    /// Begins with what the log tells.
    pub(super) fn new(ctx: &'a Context, past: &'a Arc<Removed>) -> Self {
        Self {
            ctx,
            past,
            emergencies: Emergencies::default(),
            executions: Executions::default(),
            unreviewed: vec![],
            midway: vec![],
            told_again: None,
            owed: Some(Trusted::Cache),
            asked_again: None,
            waits: false,
            heard: BTreeSet::new(),
        }
    }

    /// Tells of what leaves, until nothing can leave any more.
    pub(super) async fn until_over(&mut self, queue: &mut mpsc::Receiver<Left>, missed: &AtomicBool) {
        loop {
            // First what was seen to leave: of that more is known than the log tells.
            while let Ok(left) = queue.try_recv() {
                self.take(left);
            }
            if missed.swap(false, Ordering::SeqCst) {
                self.owe();
            }
            self.tell().await;
            self.ask().await;
            let again = self.told_again.into_iter().chain(self.asked_again).min();
            let past = Arc::clone(self.past);
            tokio::select! {
                left = queue.recv() => match left {
                    Some(left) => self.take(left),
                    None => return,
                },
                () = past.one_ended(), if self.waits || !self.midway.is_empty() => {
                    if self.waits {
                        self.owe();
                    }
                }
                () = until(again) => {
                    let now = Instant::now();
                    self.told_again.take_if(|at| *at <= now);
                    self.asked_again.take_if(|at| *at <= now);
                }
            }
        }
    }

    /// Tells of those that wait, while this process leads. What only the log knows is left to the next leader.
    pub(super) async fn last_words(&mut self, queue: &mut mpsc::Receiver<Left>) {
        loop {
            while let Ok(left) = queue.try_recv() {
                self.take(left);
            }
            self.told_again = None;
            self.tell().await;
            let all = self.unreviewed.is_empty() && self.midway.is_empty();
            if all || self.ctx.leadership.check().is_err() {
                return;
            }
            tokio::select! {
                () = self.past.one_ended() => {}
                () = tokio::time::sleep(SOON) => {}
            }
        }
    }

    fn take(&mut self, left: Left) {
        if self.unreviewed.len() + self.midway.len() >= MAX_WAITING {
            // The log tells of it as soon as it answers again.
            self.owed = Some(Trusted::Nothing);
            return;
        }
        match left {
            Left::Unreviewed(one) => self.unreviewed.push(*one),
            Left::Midway(plan) => self.midway.push(*plan),
            Left::Unsaid => self.owe(),
        }
    }

    /// The log is asked at once, and nothing is believed but the API server.
    fn owe(&mut self) {
        self.owed = Some(Trusted::Nothing);
        self.asked_again = None;
    }

    /// Tells of those that the watch saw leave.
    async fn tell(&mut self) {
        if self.told_again.is_some() {
            return;
        }
        let mut at = 0;
        while let Some(one) = self.unreviewed.get(at) {
            let (name, told) = (
                one.name().to_owned(),
                review(self.ctx, &mut self.emergencies, one).await,
            );
            if self.is_over(&name, told) {
                self.unreviewed.remove(at);
            } else {
                at += 1;
            }
        }
        at = 0;
        while let Some(plan) = self.midway.get(at) {
            let (namespace, name) = (plan.namespace().unwrap_or_default(), plan.name_any());
            // Of one that is under way the log says the rest when it is no more.
            if self.past.is_under_way(&namespace, &name) {
                at += 1;
                continue;
            }
            // The watch may have lost the end that this process wrote.
            let ended = plan
                .uid()
                .is_some_and(|uid| self.ctx.handled.within(&uid, Duration::MAX));
            let told = if ended {
                Ok(())
            } else {
                execute::abandoned(self.ctx, plan).await
            };
            if self.is_over(&name, told) {
                self.midway.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Whether no more can be done about one of which it was told, or not.
    fn is_over(&mut self, name: &str, told: Result<(), Error>) -> bool {
        match told {
            Ok(()) => true,
            Err(Error::Audit(kubechat_audit::Error::Integrity { why })) => {
                let what = format!("{why}, so it is not told what became of plan {name}, which was removed");
                self.damaged(1, &what);
                true
            }
            Err(problem) => {
                tracing::warn!(%problem, plan = %name, "the removal of a plan is not recorded yet; trying again");
                self.told_again = Some(Instant::now() + AGAIN);
                false
            }
        }
    }

    /// Asks the log, if that is due, what was removed unseen, and tells of it.
    async fn ask(&mut self) {
        let Some(trusted) = self.owed.filter(|_| self.asked_again.is_none()) else {
            return;
        };
        let (ctx, past) = (self.ctx, Arc::clone(self.past));
        let emergencies = meanwhile(ctx, &past, &mut self.emergencies, trusted).await;
        let executions = left_open(ctx, &past, &mut self.executions).await;
        let unread = self.emergencies.unread() + self.executions.unread();
        if unread > 0 {
            self.damaged(unread, &format!(
                "{unread} entries cannot be read, so decisions, reviews, or what became of steps may be among them that is not known: it cannot be said for sure which plans were removed before the review of an emergency, or before their execution had ended"
            ));
        }
        let mut looked = Looked::default();
        for one in [emergencies, executions] {
            match one {
                Ok(one) => looked.and(one),
                Err(problem) => {
                    looked.again = true;
                    looked.failed("", "", problem);
                }
            }
        }
        for (plan, name, why) in std::mem::take(&mut looked.unreadable) {
            // Once of each, however often it is looked at.
            if self.heard.insert(plan) {
                let whose = if name.is_empty() {
                    "the removed plans"
                } else {
                    &name
                };
                let what = format!("{why}, so it cannot be said what became of {whose}");
                self.damaged(1, &what);
            }
        }
        self.waits = looked.waits;
        if looked.again {
            self.asked_again = Some(Instant::now() + AGAIN);
        } else {
            self.owed = None;
        }
    }

    /// A part of the audit log is not as it was written: heard of as an Event on the operator's Lease and in the metrics.
    pub(super) fn damaged(&self, many: u64, what: &str) {
        let note = format!(
            "the audit log is damaged: {what}. Execution goes on by what can be read. Keep a copy of the file, and find what was changed: kubechat audit verify"
        );
        tracing::error!("{note}");
        self.ctx.metrics.audit_unreadable.inc_by(many);
        let lease = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            namespace: Some(self.ctx.namespace.clone()),
            name: Some(LEASE.to_owned()),
            ..ObjectReference::default()
        };
        self.ctx.events.tell(lease, true, reason::AUDIT_DAMAGED, &note);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Tells of an emergency, unless its removal was told, or its review is on record, which its status did not get to say.
async fn review(ctx: &Context, known: &mut Emergencies, one: &Unreviewed) -> Result<(), Error> {
    match known.learn(&ctx.audit).await {
        Ok(()) => {}
        Err(Error::Audit(kubechat_audit::Error::Integrity { why })) => {
            tracing::warn!(%why, "whether a removed plan was reviewed is not known, so it counts as not reviewed");
        }
        Err(problem) => return Err(problem),
    }
    if known.is_settled(one.uid()) {
        return Ok(());
    }
    one.tell(ctx).await
}
