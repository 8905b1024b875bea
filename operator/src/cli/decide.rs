//! `kubechat approve`, `deny`, `review` and `cancel`.
//!
//! **Invariant:** an Approval carries the digest of the plan that was shown, so that what was seen is what is decided.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use kubechat_crds::approval::BreakGlass;
use kubechat_crds::condition::{self, types};
use kubechat_crds::{Approval, ApprovalSpec, CommandPlan, DecisionKind, Level, LocalRef};
use tokio::time::Instant;

use super::client::{Changes, Cluster, next};
use super::error::CliError;
use super::exit::Exit;
use super::render::{Tone, plan as render, status};
use super::signed;
use super::turn::{Standing, plan_phase, takes_decisions, takes_denials};
use super::ui::{Reply, Ui, is_yes};
use crate::args::{ApproveArgs, CancelArgs, DenyArgs, ReviewArgs, SignArgs};

/// How long to wait for KubeChat to say whether a decision counts.
const JUDGED_WITHIN: Duration = Duration::from_secs(15);

/// `kubechat approve`.
pub(crate) async fn approve(cluster: &Cluster, ui: &mut Ui, args: &ApproveArgs) -> Result<Exit, CliError> {
    let ApproveArgs {
        plan,
        reason,
        ticket,
        break_glass,
        yes,
        sign,
        output: _,
    } = args;
    let plan = open_plan(cluster, plan, takes_decisions).await?;
    ui.show(&render::plan(&ui.look, &plan, Timestamp::now()));
    if let Some(incident) = break_glass {
        ui.say(
            Tone::Warn,
            &format!("Emergency ({incident}): one approval suffices, everybody hears of it, and somebody else must review it afterwards."),
        );
    }
    // What is printed for Git decides nothing yet.
    if !yes && !sign.git {
        if !ui.interactive() {
            return Err(CliError::Usage(
                "nothing was approved: there is no terminal to ask on. Read the plan above, then add --yes"
                    .to_owned(),
            ));
        }
        let reply = ui.ask(&question(&plan), None).await;
        match reply {
            Reply::Line(line) if agreed(&plan, &line) => {}
            Reply::Line(_) | Reply::TimedOut => {
                ui.say(Tone::Warn, "Nothing was approved.");
                return Ok(Exit::Error);
            }
            Reply::Interrupted => return Ok(Exit::Interrupted),
        }
    }
    let mut made = approval(&plan, DecisionKind::Approve, reason, ticket.clone());
    made.spec.break_glass = break_glass.clone().map(|incident| BreakGlass { incident });
    submit(cluster, ui, &plan, made, sign).await
}

/// `kubechat deny`.
pub(crate) async fn deny(cluster: &Cluster, ui: &mut Ui, args: &DenyArgs) -> Result<Exit, CliError> {
    let DenyArgs {
        plan,
        reason,
        sign,
        output: _,
    } = args;
    let plan = open_plan(cluster, plan, takes_denials).await?;
    let made = approval(&plan, DecisionKind::Deny, reason, None);
    submit(cluster, ui, &plan, made, sign).await
}

/// `kubechat review`.
pub(crate) async fn review(cluster: &Cluster, ui: &mut Ui, args: &ReviewArgs) -> Result<Exit, CliError> {
    let ReviewArgs {
        plan,
        reason,
        sign,
        output: _,
    } = args;
    let Some(plan) = cluster.turn(plan).await?.plan else {
        return Err(CliError::Other(format!(
            "the turn {plan} has no plan; nothing was reviewed"
        )));
    };
    let conditions = plan.status.as_ref().map(|s| s.conditions.as_slice());
    let Some(standing) = condition::find(conditions.unwrap_or_default(), types::REVIEWED) else {
        return Err(CliError::Other(format!(
            "plan {} was not executed by break-glass, so there is nothing to review",
            plan.name_any()
        )));
    };
    if standing.status == "True" {
        return Err(CliError::Other(format!(
            "plan {}: {}; nothing was recorded again",
            plan.name_any(),
            standing.message
        )));
    }
    let made = approval(&plan, DecisionKind::Review, reason, None);
    submit(cluster, ui, &plan, made, sign).await
}

/// `kubechat cancel`.
pub(crate) async fn cancel(cluster: &Cluster, ui: &Ui, args: &CancelArgs) -> Result<Exit, CliError> {
    let turn = cluster.turn(&args.name).await?;
    let Some(request) = &turn.request else {
        return Err(CliError::Other(format!(
            "the turn of {} is gone or you may not read it; nothing was withdrawn",
            args.name
        )));
    };
    if let Standing::Finished(_) = turn.standing() {
        let (phase, _) = status::phase_of_request(request.status.as_ref().and_then(|s| s.phase));
        return Err(CliError::Other(format!(
            "the turn {} is finished already ({phase}); nothing was withdrawn",
            request.name_any()
        )));
    }
    let request = cluster.cancel(&request.name_any()).await?;
    ui.say(
        Tone::Good,
        &format!(
            "Withdrawn: {}. What has not been sent is not sent.",
            request.name_any()
        ),
    );
    ui.emit(&request)?;
    Ok(Exit::Done)
}

/// An Approval of exactly this plan.
pub(crate) fn approval(
    plan: &CommandPlan,
    decision: DecisionKind,
    reason: &str,
    ticket: Option<String>,
) -> Approval {
    let prefix = match decision {
        DecisionKind::Approve => "approve-",
        DecisionKind::Deny => "deny-",
        DecisionKind::Review => "review-",
    };
    Approval {
        metadata: ObjectMeta {
            generate_name: Some(prefix.to_owned()),
            namespace: plan.namespace(),
            ..ObjectMeta::default()
        },
        spec: ApprovalSpec {
            plan_ref: LocalRef::new(plan.name_any()),
            plan_digest: plan.spec.digest.clone(),
            decision,
            reason: reason.to_owned(),
            ticket,
            ..ApprovalSpec::default()
        },
        status: None,
    }
}

async fn open_plan(
    cluster: &Cluster,
    name: &str,
    is_open: fn(&CommandPlan, Timestamp) -> bool,
) -> Result<CommandPlan, CliError> {
    let Some(plan) = cluster.turn(name).await?.plan else {
        return Err(CliError::Other(format!(
            "the turn {name} has no plan yet, or needs none; nothing was decided"
        )));
    };
    if is_open(&plan, Timestamp::now()) {
        return Ok(plan);
    }
    let (phase, _) = status::phase_of_plan(plan_phase(&plan));
    Err(CliError::Other(format!(
        "plan {} takes no decision: it is {phase} and expires at {}; nothing was decided",
        plan.name_any(),
        plan.spec.expires_at
    )))
}

/// What is asked before approving. A destructive plan takes more than a key.
fn question(plan: &CommandPlan) -> String {
    match plan.spec.risk.level {
        Level::Safe | Level::Caution => "\nApprove? [y/N]".to_owned(),
        // A name of a Kubernetes object holds nothing a terminal would act on.
        Level::Destructive => format!("\nThis is destructive. Type {} to approve it:", plan.name_any()),
    }
}

fn agreed(plan: &CommandPlan, answer: &str) -> bool {
    match plan.spec.risk.level {
        Level::Safe | Level::Caution => is_yes(answer),
        Level::Destructive => answer.trim() == plan.name_any(),
    }
}

/// Creates the decision and says whether it counts, or prints it for Git.
async fn submit(
    cluster: &Cluster,
    ui: &mut Ui,
    plan: &CommandPlan,
    approval: Approval,
    sign: &SignArgs,
) -> Result<Exit, CliError> {
    let cluster_uid = &plan.spec.cluster_uid;
    let approval = signed::prepare(approval, cluster_uid, sign, Timestamp::now())?;
    if sign.git {
        signed::print(ui, approval, cluster_uid)?;
        return Ok(Exit::Done);
    }
    let created = cluster.create(&approval).await?;
    ui.progress("waiting for KubeChat to count it");
    let judged = judged(cluster, created).await?;
    ui.quiet();
    let exit = report(ui, plan, &judged);
    ui.emit(&judged)?;
    Ok(exit)
}

/// The decision once it was judged, or as it is when that takes too long.
async fn judged(cluster: &Cluster, mut approval: Approval) -> Result<Approval, CliError> {
    let mut changes: Option<Changes<Approval>> = Some(cluster.watch(&approval.name_any()));
    let deadline = Instant::now() + JUDGED_WITHIN;
    while verdict(&approval).is_none() {
        tokio::select! {
            change = next(&mut changes) => match change {
                Ok(Some(changed)) => approval = changed,
                Ok(None) => return Ok(approval),
                // The decision stands; only whether it counts cannot be seen.
                Err(broken) if cluster.watch_failed::<Approval>(&broken).is_some() => return Ok(approval),
                Err(_) => {}
            },
            () = tokio::time::sleep_until(deadline) => return Ok(approval),
        }
    }
    Ok(approval)
}

/// Whether a decision counts, with the reason; `None` while that is open.
fn verdict(approval: &Approval) -> Option<(bool, &str)> {
    let conditions = &approval.status.as_ref()?.conditions;
    let accepted = condition::find(conditions, types::ACCEPTED)?;
    match accepted.status.as_str() {
        "True" => Some((true, &accepted.message)),
        "False" => Some((false, &accepted.message)),
        _ => None,
    }
}

fn report(ui: &Ui, plan: &CommandPlan, approval: &Approval) -> Exit {
    let (plan, name) = (plan.name_any(), approval.name_any());
    let did = match approval.spec.decision {
        DecisionKind::Approve => "Approved",
        DecisionKind::Deny => "Denied",
        DecisionKind::Review => "Reviewed",
    };
    match verdict(approval) {
        Some((true, _)) => {
            ui.say(Tone::Good, &format!("{did} {plan} ({name})."));
            if approval.spec.decision == DecisionKind::Approve {
                ui.hint("Watch it", &ui.hints.own(&format!("watch {plan}")));
            }
            Exit::Done
        }
        Some((false, why)) => {
            ui.say(Tone::Bad, &format!("The decision does not count: {why}"));
            Exit::Refused
        }
        None => {
            ui.say(
                Tone::Warn,
                &format!("Recorded as {name}; KubeChat has not counted it yet."),
            );
            ui.hint("See later", &ui.hints.own(&format!("explain {plan}")));
            Exit::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{now, plan};
    use kubechat_crds::ApprovalStatus;

    #[test]
    fn an_approval_is_bound_to_the_plan_that_was_shown() {
        let plan = plan();
        let made = approval(&plan, DecisionKind::Approve, "looks right", Some("CHG-1".into()));
        assert_eq!(made.spec.plan_ref.name, "ask-1-plan");
        assert_eq!(made.spec.plan_digest, plan.spec.digest);
        assert_eq!(
            (made.spec.reason.as_str(), made.spec.ticket.as_deref()),
            ("looks right", Some("CHG-1"))
        );
        assert_eq!(made.metadata.generate_name.as_deref(), Some("approve-"));
        assert_eq!(made.metadata.namespace.as_deref(), Some("demo"));
        assert_eq!(made.spec.submitted_by, None);
    }

    #[test]
    fn a_destructive_plan_takes_its_name_and_a_caution_plan_a_yes() {
        let mut plan = plan();
        assert!(agreed(&plan, "y") && !agreed(&plan, "ask-1-plan") && !agreed(&plan, ""));
        plan.spec.risk.level = Level::Destructive;
        assert!(question(&plan).contains("Type ask-1-plan"));
        assert!(
            agreed(&plan, " ask-1-plan ")
                && !agreed(&plan, "y")
                && !agreed(&plan, "yes")
                && !agreed(&plan, "ask-1")
        );
    }

    #[test]
    fn a_decision_counts_only_when_kubechat_says_so() {
        let mut made = approval(&plan(), DecisionKind::Deny, "no", None);
        assert_eq!(verdict(&made), None);
        let mut conditions = vec![];
        for (status, wanted) in [
            ("Unknown", None),
            ("True", Some((true, "m"))),
            ("False", Some((false, "m"))),
        ] {
            condition::set(&mut conditions, types::ACCEPTED, status, "R", "m", None, now());
            made.status = Some(ApprovalStatus {
                conditions: conditions.clone(),
                ..ApprovalStatus::default()
            });
            assert_eq!(verdict(&made), wanted);
        }
    }
}
