//! `kubechat plans`: the plans of a namespace, those that wait for somebody first.

use jiff::Timestamp;
use kube::ResourceExt;
use kubechat_crds::{CommandPlan, PlanPhase};
use serde::Serialize;

use super::client::{Cluster, MAX_LISTED};
use super::error::CliError;
use super::exit::Exit;
use super::render::{Look, Tone, age, plan as render, status, table};
use super::turn::plan_phase;
use super::ui::Ui;
use crate::args::{Format, PlansArgs};

/// A list as kubectl prints several objects.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'p> {
    api_version: &'static str,
    kind: &'static str,
    items: &'p [CommandPlan],
}

/// `kubechat plans`.
pub(crate) async fn plans(cluster: &Cluster, ui: &Ui, args: &PlansArgs) -> Result<Exit, CliError> {
    let PlansArgs {
        all_namespaces,
        all,
        output,
    } = args;
    let (mut plans, more) = cluster.plans(*all_namespaces).await?;
    let total = plans.len();
    if !all {
        plans.retain(|plan| rank(plan_phase(plan)) < FINISHED);
    }
    order(&mut plans);
    match output.output {
        Format::Table if plans.is_empty() => ui.say(Tone::Plain, &nothing(cluster, *all_namespaces, total)),
        Format::Table => ui.show(&rows(&ui.look, &plans, *all_namespaces, Timestamp::now())),
        Format::Json | Format::Yaml => {
            plans
                .iter_mut()
                .for_each(|plan| plan.metadata.managed_fields = None);
            ui.emit_value(&List {
                api_version: "v1",
                kind: "List",
                items: &plans,
            })?;
        }
    }
    if more {
        ui.say(
            Tone::Warn,
            &format!(
                "There are more than {MAX_LISTED} plans; the rest is not shown. Choose a namespace with -n."
            ),
        );
    }
    Ok(Exit::Done)
}

fn nothing(cluster: &Cluster, all_namespaces: bool, finished: usize) -> String {
    let place = if all_namespaces {
        "any namespace".to_owned()
    } else {
        format!("namespace {}", cluster.namespace)
    };
    match finished {
        0 => format!("There are no plans in {place}."),
        finished => format!("No plan waits or runs in {place} ({finished} finished: --all shows them)."),
    }
}

/// Rank of the first phase that is final.
const FINISHED: u8 = 3;

/// What waits for a person comes first, then what runs, then what is over.
fn rank(phase: PlanPhase) -> u8 {
    match phase {
        PlanPhase::AwaitingApproval => 0,
        PlanPhase::Approved => 1,
        PlanPhase::Executing => 2,
        PlanPhase::Succeeded
        | PlanPhase::Failed
        | PlanPhase::Denied
        | PlanPhase::Blocked
        | PlanPhase::Expired
        | PlanPhase::Cancelled
        | PlanPhase::Stale
        | PlanPhase::Interrupted
        | PlanPhase::PlanOnly => FINISHED,
    }
}

/// By rank; within it the newest first.
fn order(plans: &mut [CommandPlan]) {
    plans.sort_by_cached_key(|plan| {
        let created = plan.creation_timestamp().map(|time| time.0);
        (
            rank(plan_phase(plan)),
            std::cmp::Reverse(created),
            plan.namespace(),
            plan.name_any(),
        )
    });
}

fn rows(look: &Look, plans: &[CommandPlan], with_namespace: bool, now: Timestamp) -> String {
    let mut columns = vec![
        "NAME",
        "PHASE",
        "RISK",
        "APPROVALS",
        "REQUESTER",
        "FIRST STEP",
        "AGE",
    ];
    if with_namespace {
        columns.insert(0, "NAMESPACE");
    }
    let cells: Vec<Vec<String>> = plans.iter().map(|plan| row(plan, with_namespace, now)).collect();
    let first = usize::from(with_namespace);
    let tone = |row: usize, column: usize| match plans.get(row) {
        Some(plan) if column == first + 1 => status::phase_of_plan(plan_phase(plan)).1,
        Some(plan) if column == first + 2 => render::level_tone(plan.spec.risk.level),
        Some(_) | None => Tone::Plain,
    };
    table::table(look, &columns, &cells, tone)
}

fn row(plan: &CommandPlan, with_namespace: bool, now: Timestamp) -> Vec<String> {
    let spec = &plan.spec;
    let approvals = plan
        .status
        .as_ref()
        .and_then(|s| s.approvals.as_ref())
        .map(|a| a.summary.clone());
    let more = if spec.steps.len() > 1 {
        format!(" (+{} more)", spec.steps.len() - 1)
    } else {
        String::new()
    };
    let command = spec.steps.first().map(|step| format!("{}{more}", step.command));
    let mut cells = vec![
        plan.name_any(),
        status::phase_of_plan(plan_phase(plan)).0.to_owned(),
        format!("{} {}", spec.risk.level, spec.risk.score),
        approvals.unwrap_or_else(|| "-".to_owned()),
        spec.requester.username.clone(),
        command.unwrap_or_default(),
        age(plan.creation_timestamp().map(|time| time.0), now),
    ];
    if with_namespace {
        cells.insert(0, plan.namespace().unwrap_or_default());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{now, plan, set_plan};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn named(name: &str, phase: PlanPhase, age_seconds: i64) -> CommandPlan {
        let mut plan = plan();
        plan.metadata.name = Some(name.into());
        let created = Timestamp::from_second(now().as_second() - age_seconds).unwrap();
        plan.metadata.creation_timestamp = Some(Time(created));
        set_plan(&mut plan, phase, "Unknown", "X", "");
        plan
    }

    #[test]
    fn plans_that_wait_come_first_and_the_newest_first_among_them() {
        let mut plans = [
            named("done", PlanPhase::Succeeded, 10),
            named("runs", PlanPhase::Executing, 20),
            named("old", PlanPhase::AwaitingApproval, 9000),
            named("new", PlanPhase::AwaitingApproval, 60),
        ];
        order(&mut plans);
        let look = Look {
            width: None,
            color: false,
        };
        assert_eq!(
            rows(&look, &plans[..3], true, now()),
            "\
NAMESPACE  NAME  PHASE             RISK        APPROVALS  REQUESTER  FIRST STEP                                           AGE
demo       new   AwaitingApproval  caution 25  0/1        alice      kubectl scale deployment/nginx --replicas=5 -n demo  60s
demo       old   AwaitingApproval  caution 25  0/1        alice      kubectl scale deployment/nginx --replicas=5 -n demo  2h
demo       runs  Executing         caution 25  0/1        alice      kubectl scale deployment/nginx --replicas=5 -n demo  20s
"
        );
    }

    #[test]
    fn further_steps_are_counted() {
        let mut plan = plan();
        plan.spec.steps.push(plan.spec.steps[0].clone());
        let cells = row(&plan, false, now());
        assert!(cells[5].ends_with(" (+1 more)"), "{cells:?}");
        assert_eq!(cells.len(), 7);
    }
}
