//! CommandPlan: waits for approvals, executes, waits for the effect.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::authz;
use kubechat_core::lifecycle::OneShot;
use kubechat_core::lifecycle::command_plan::{Observed, Verdict, Withdrawn, decide, ends_at};
use kubechat_core::lifecycle::review;
use kubechat_core::reason;
use kubechat_crds::command_plan::{Evidence, StepStatus};
use kubechat_crds::condition::{find, is_finished, is_true, set, types};
use kubechat_crds::{CommandPlan, CommandPlanStatus, DecisionKind, PlanPhase, StepState};

use super::{at, reference, status};
use crate::audit::about_plan;
use crate::context::Context;
use crate::error::Error;
use crate::execute::{self, Progress, effect};
use crate::failpoint::{self, Point};
use crate::metrics::GlassLabels;

/// Failed tries after which the plan says why it does not go on.
const TOLD_AFTER: u32 = 2;
/// Between looks at the effect.
const LOOK: Duration = Duration::from_millis(500);
/// How long the cache may take to show the end of a plan; until then nothing is read to find that it has ended.
const CATCH_UP: Duration = Duration::from_secs(2);

/// One look at a plan.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(plan: Arc<CommandPlan>, ctx: Arc<Context>) -> Result<Action, Error> {
    let current = plan.status.clone().unwrap_or_default();
    if plan.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if is_finished(&current.conditions) {
        return reviewed(&plan, &ctx, current).await;
    }
    if ctx.handled.within(&plan.uid().unwrap_or_default(), CATCH_UP) {
        return Ok(Action::requeue(CATCH_UP));
    }
    let begun = current.steps.iter().any(|s| s.state != StepState::Pending);
    if begun && current.steps.iter().all(|s| s.state == StepState::Done) {
        return wait_for_effect(&plan, &ctx, current).await;
    }
    if !begun && !has_decision(&ctx, &plan) {
        let (verdict, approvals) = observe(&ctx, &plan);
        // Nobody decided, so there is nothing to count. Caches may be behind: what is not just waiting is looked at freshly
        // below, or the log would tell of an end that a plan long executed never had.
        if matches!(verdict, Verdict::Wait { .. } | Verdict::PlanOnly) {
            let new = CommandPlanStatus {
                approvals: Some(approvals),
                ..current
            };
            return settle(&plan, &ctx, verdict, new).await;
        }
    }
    let namespace = plan.namespace().unwrap_or_default();
    match execute::advance(&ctx, &plan.name_any(), &namespace).await {
        // What was read fresh is what is reported on.
        Ok(Some((progress, plan))) => match progress {
            Progress::NotYet(found) => settle(&plan, &ctx, found.0, found.1).await,
            Progress::Sent(new) => wait_for_effect(&plan, &ctx, *new).await,
            Progress::Finished(new) => finished(&plan, &ctx, *new).await,
            Progress::Nothing => Ok(Action::await_change()),
            // Who takes over looks at every plan.
            Progress::Paused if ctx.pace.stopping() => Ok(Action::await_change()),
            Progress::Paused => Ok(Action::requeue(Duration::ZERO)),
            Progress::Held(held) => hold(&plan, &ctx, held.0, Some(held.1)).await,
        },
        Ok(None) => Ok(Action::await_change()),
        Err(error) => hold(&plan, &ctx, error, None).await,
    }
}

/// Says whether a plan that was executed by break-glass was reviewed; nothing of any other.
async fn reviewed(plan: &CommandPlan, ctx: &Context, mut new: CommandPlanStatus) -> Result<Action, Error> {
    if !review::broke_glass(&new) {
        return Ok(Action::await_change());
    }
    let name = plan.name_any();
    let reviewer = ctx.stores.approvals.state().into_iter().find_map(|a| {
        let of_plan = a.metadata.namespace == plan.metadata.namespace && a.spec.plan_ref.name == name;
        let status = a.status.as_ref()?;
        let counts = is_true(&status.conditions, types::ACCEPTED) && a.spec.plan_digest == plan.spec.digest;
        let is_review = of_plan && counts && a.spec.decision == DecisionKind::Review;
        status.effective_approver.clone().filter(|_| is_review)
    });
    let now = Timestamp::now();
    let policies = ctx.policies();
    let Some(found) = review::standing(&name, &new, policies.as_ref(), reviewer.as_deref(), now) else {
        return Ok(Action::await_change());
    };
    let changed = find(&new.conditions, types::REVIEWED).is_none_or(|c| c.reason != found.reason);
    if changed && found.reason != reason::REVIEW_DUE {
        ctx.metrics
            .break_glass
            .get_or_create(&GlassLabels { what: found.reason })
            .inc();
        if found.status == "True" {
            ctx.events
                .tell(reference(plan), false, found.reason, &found.message);
        }
    }
    if changed && found.reason == reason::REVIEW_OVERDUE {
        let mut draft = about_plan(
            plan,
            EventType::Approval,
            "review",
            Outcome::Denied,
            reason::REVIEW_OVERDUE,
        );
        draft.message.clone_from(&found.message);
        ctx.audit.record(draft).await?;
    }
    set(
        &mut new.conditions,
        types::REVIEWED,
        found.status,
        found.reason,
        found.message,
        plan.metadata.generation,
        now,
    );
    status::write_onto(ctx, plan, plan.status.as_ref(), &new).await?;
    Ok(found.changes_at.map_or_else(Action::await_change, at))
}

/// Whether a decision on the plan stands in the cache.
fn has_decision(ctx: &Context, plan: &CommandPlan) -> bool {
    let name = plan.name_any();
    ctx.stores
        .approvals
        .state()
        .iter()
        .any(|a| a.metadata.namespace == plan.metadata.namespace && a.spec.plan_ref.name == name)
}

/// The verdict by what the caches hold, with no decision.
fn observe(ctx: &Context, plan: &CommandPlan) -> (Verdict, kubechat_crds::ApprovalSummary) {
    let namespace = plan.namespace().unwrap_or_default();
    let request = ctx
        .stores
        .requests
        .get(&ObjectRef::new(&plan.spec.chat_request_ref.name).within(&namespace));
    let policies = ctx.policies();
    let holders = ctx.holders.now();
    decide(&Observed {
        name: &plan.name_any(),
        namespace: &namespace,
        plan: &plan.spec,
        approvals: &[],
        policies: policies.as_ref(),
        holders: holders.as_deref(),
        withdrawn: request
            .as_ref()
            .filter(|r| r.spec.cancel)
            .map(|_| Withdrawn::Cancelled),
        stamped: request
            .as_ref()
            .and_then(|r| r.creation_timestamp())
            .map_or_else(Timestamp::now, |t| t.0),
        planned: planned(plan),
        not_after: request
            .as_ref()
            .and_then(|r| r.spec.not_after.as_ref().map(|t| t.0)),
        now: Timestamp::now(),
    })
}

/// When the plan was made; where it does not say, long ago.
fn planned(plan: &CommandPlan) -> Timestamp {
    plan.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |t| t.0)
}

/// Reports a verdict that does not execute.
async fn settle(
    plan: &CommandPlan,
    ctx: &Context,
    verdict: Verdict,
    mut new: CommandPlanStatus,
) -> Result<Action, Error> {
    new.observed_generation = plan.metadata.generation;
    if new.steps.is_empty() {
        new.steps = plan
            .spec
            .steps
            .iter()
            .map(|s| StepStatus {
                id: s.id.clone(),
                ..StepStatus::default()
            })
            .collect();
    }
    match verdict {
        Verdict::PlanOnly => {
            let message = "the plan is for showing only; nothing is executed. Ask again without PlanOnly to have it done";
            execute::finish(&mut new, plan, PlanPhase::PlanOnly, reason::PLAN_ONLY, message);
            status::write_onto(ctx, plan, plan.status.as_ref(), &new).await?;
            Ok(Action::await_change())
        }
        Verdict::Wait { reason, message } => {
            new.phase = Some(PlanPhase::AwaitingApproval);
            OneShot {
                conditions: &mut new.conditions,
                generation: plan.metadata.generation,
                now: Timestamp::now(),
            }
            .awaiting(reason, &message);
            status::write_onto(ctx, plan, plan.status.as_ref(), &new).await?;
            let end = ends_at(&plan.spec, planned(plan), ctx.policies().as_ref());
            Ok(end.map_or_else(|| Action::requeue(LOOK), at))
        }
        Verdict::End(ending) => {
            let (phase, reason, message) = (ending.phase, ending.reason, ending.unbegun());
            for step in &mut new.steps {
                step.state = StepState::Skipped;
            }
            let mut draft = about_plan(
                plan,
                EventType::CommandExecution,
                "execute",
                Outcome::Denied,
                reason,
            );
            draft.message.clone_from(&message);
            ctx.audit.record(draft).await?;
            execute::finish(&mut new, plan, phase, reason, &message);
            finished(plan, ctx, new).await
        }
        // Seen as Go by the caches but not begun: looked at freshly at once.
        Verdict::Go => Ok(Action::requeue(Duration::ZERO)),
    }
}

/// Steps are done; what they were to bring about is waited for.
async fn wait_for_effect(
    plan: &CommandPlan,
    ctx: &Context,
    mut new: CommandPlanStatus,
) -> Result<Action, Error> {
    failpoint::at(Point::Waiting).await;
    let now = Timestamp::now();
    let seen = seen(plan, ctx).await;
    let open = &seen.open;
    let done = |n: &CommandPlanStatus| n.steps.iter().map(|s| s.done).sum::<i32>();
    if open.is_empty() {
        let name = plan.name_any();
        let undo = if plan
            .spec
            .steps
            .iter()
            .any(|s| s.rollback.kind != kubechat_crds::command_plan::RollbackKind::None)
        {
            format!(" Undo it: kubectl kubechat rollback {name}")
        } else {
            " It cannot be undone".to_owned()
        };
        let message = format!(
            "{} step(s), {} object(s), done as {}.{undo}",
            new.steps.len(),
            done(&new),
            plan.spec.requester.username
        );
        let verdict = if seen.lost.is_empty() {
            "the effect is there".to_owned()
        } else {
            let lost = effect::lines(&seen.lost);
            kubechat_crds::condition::clip(format!("all was done, but since then: {lost}"), 500)
        };
        new.evidence = Some(Evidence {
            after: seen.evidence(),
            verdict,
            ..new.evidence.unwrap_or_default()
        });
        execute::finish(&mut new, plan, PlanPhase::Succeeded, reason::EXECUTED, &message);
        return finished(plan, ctx, new).await;
    }
    let began = new
        .steps
        .iter()
        .filter_map(|s| s.end_time.as_ref().map(|t| t.0))
        .max()
        .unwrap_or(now);
    let waited = Duration::try_from(now.duration_since(began)).unwrap_or_default();
    if waited >= effect::MAX_WAIT {
        // Another clock than this one may have said when it began.
        if let Err(error) = ctx.admission.check(ctx).await {
            return hold(plan, ctx, error, Some(new)).await;
        }
        let undo = if execute::can_be_undone(plan, &new) {
            format!(", or undo it: kubectl kubechat rollback {}", plan.name_any())
        } else {
            String::new()
        };
        let message = format!(
            "all steps were done as {}, but after {} s the effect is not there: {}. Look at it (kubechat ask \"describe ..\"){undo}",
            plan.spec.requester.username,
            effect::MAX_WAIT.as_secs(),
            open.join("; "),
        );
        new.evidence = Some(Evidence {
            after: seen.evidence(),
            verdict: "the effect did not come in time".to_owned(),
            ..new.evidence.unwrap_or_default()
        });
        execute::finish(
            &mut new,
            plan,
            PlanPhase::Failed,
            reason::EFFECT_TIMED_OUT,
            &message,
        );
        return finished(plan, ctx, new).await;
    }
    new.phase = Some(PlanPhase::Executing);
    let text = kubechat_crds::condition::clip(open.join("; "), 1000);
    new.evidence = Some(Evidence {
        during: effect::lines(open),
        ..new.evidence.unwrap_or_default()
    });
    OneShot {
        conditions: &mut new.conditions,
        generation: plan.metadata.generation,
        now,
    }
    .working(
        reason::WAITING_FOR_EFFECT,
        &format!("all steps were done; waiting for the effect: {text}"),
    );
    status::write_onto(ctx, plan, plan.status.as_ref(), &new).await?;
    Ok(Action::requeue(LOOK))
}

/// How the targets stand and what is still waited for, read as the requester; nothing when nobody can look. What cannot be
/// read is waited for like anything else, and no longer.
async fn seen(plan: &CommandPlan, ctx: &Context) -> effect::Seen {
    let Ok(acting) = authz::acting(&plan.spec.requester) else {
        return effect::Seen::default();
    };
    match ctx.people.reader(&acting).await {
        Ok(person) => effect::look(&person, plan).await,
        Err(Error::Identity(_)) => effect::Seen::default(),
        Err(error) => {
            let line = vec![effect::unread("the objects", &error)];
            effect::Seen {
                open: if effect::waits(plan) { line.clone() } else { vec![] },
                lines: line,
                lost: vec![],
            }
        }
    }
}

async fn finished(plan: &CommandPlan, ctx: &Context, new: CommandPlanStatus) -> Result<Action, Error> {
    failpoint::at(Point::BeforeEnd).await;
    let written = status::write_onto(ctx, plan, plan.status.as_ref(), &new).await?;
    // The end of one that was removed meanwhile is nowhere to be seen.
    if written != status::Written::Gone {
        ctx.handled.insert(&plan.uid().unwrap_or_default());
    }
    let condition = find(&new.conditions, types::SUCCEEDED);
    if let Some(condition) = condition {
        ctx.metrics.end("CommandPlan", &condition.reason);
        if condition.status == "True" {
            ctx.events
                .tell(reference(plan), false, &condition.reason, &condition.message);
        }
    }
    Ok(Action::await_change())
}

/// Something stands in the way: said in the status, and tried again. `approved` is the status to report when it is known
/// that nothing else is missing.
async fn hold(
    plan: &CommandPlan,
    ctx: &Context,
    error: Error,
    approved: Option<CommandPlanStatus>,
) -> Result<Action, Error> {
    let lasting = matches!(
        error,
        Error::Audit(_) | Error::Dependency { .. } | Error::Unsettled(_)
    ) || super::tries(ctx, "CommandPlan", plan) >= TOLD_AFTER
        && !matches!(error, Error::NotLeader);
    if !lasting {
        return Err(error);
    }
    let is_approved = approved.is_some();
    let mut new = approved.or_else(|| plan.status.clone()).unwrap_or_default();
    new.observed_generation = plan.metadata.generation;
    let standing = if new.steps.iter().any(|s| s.state != StepState::Pending) {
        "under way, but it cannot go on"
    } else if is_approved {
        new.phase = Some(PlanPhase::Approved);
        "approved, but not executed yet"
    } else {
        "not looked at"
    };
    OneShot {
        conditions: &mut new.conditions,
        generation: plan.metadata.generation,
        now: Timestamp::now(),
    }
    .working(error.reason(), &format!("{standing}: {error}. It is tried again"));
    status::write_onto(ctx, plan, plan.status.as_ref(), &new).await?;
    Err(error)
}
