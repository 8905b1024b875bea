//! `kubechat explain`: all that is known of a turn: what was asked, understood, planned, decided and done.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kubechat_crds::command_plan::{Evidence, StepStatus};
use kubechat_crds::{ChatRequest, CommandPlan, StepState};

use super::client::Cluster;
use super::error::CliError;
use super::exit::Exit;
use super::render::{Hints, Look, Page, Tone, answer, plan, status};
use super::turn::Turn;
use super::ui::Ui;
use crate::args::ExplainArgs;

/// `kubechat explain`.
pub(crate) async fn explain(cluster: &Cluster, ui: &Ui, args: &ExplainArgs) -> Result<Exit, CliError> {
    let turn = cluster.turn(&args.name).await?;
    ui.show(&text(&ui.look, &turn, &ui.hints, Timestamp::now()));
    match (&turn.request, &turn.plan) {
        // The object that was named; the other one is in its references.
        (_, Some(plan)) if plan.name_any() == args.name => ui.emit(plan)?,
        (Some(request), _) => ui.emit(request)?,
        (None, Some(plan)) => ui.emit(plan)?,
        (None, None) => {}
    }
    Ok(Exit::Done)
}

fn text(look: &Look, turn: &Turn, hints: &Hints, now: Timestamp) -> String {
    let mut out = String::new();
    if let Some(request) = &turn.request {
        out.push_str(&asked(look, request));
        out.push_str(&answer::answer(look, request));
    }
    if let Some(made) = &turn.plan {
        out.push('\n');
        out.push_str(&plan::plan(look, made, now));
        out.push_str(&executed(look, made));
    }
    out.push_str(&conditions(look, turn));
    let after = [
        turn.plan
            .as_ref()
            .map(|made| plan::decide_hints(look, made, hints, now))
            .unwrap_or_default(),
        status::ending(look, turn, hints),
    ]
    .concat();
    if !after.is_empty() {
        out.push('\n');
        out.push_str(&after);
    }
    out
}

fn asked(look: &Look, request: &ChatRequest) -> String {
    let mut page = Page::new(look);
    let state = request.status.as_ref();
    let (phase, tone) = status::phase_of_request(state.and_then(|s| s.phase));
    let name = request.name_any();
    page.spans(
        0,
        &[
            (Tone::Strong, "Turn "),
            (Tone::Strong, &name),
            (Tone::Plain, "  "),
            (tone, phase),
        ],
    );
    let spec = &request.spec;
    let requester = spec
        .requester
        .as_ref()
        .map_or("not stamped", |requester| &requester.username);
    page.field(2, "asked by", Tone::Plain, requester);
    if !spec.prompt.is_empty() {
        page.field(2, "prompt", Tone::Plain, &spec.prompt);
    }
    if let Some(undone) = &spec.rollback_of {
        page.field(2, "undoes", Tone::Plain, &format!("plan {}", undone.name));
    }
    if let Some(scope) = &spec.scope {
        let cluster = if scope.cluster_scoped {
            " and cluster-scoped objects"
        } else {
            ""
        };
        page.field(
            2,
            "scope",
            Tone::Plain,
            &format!("{}{cluster}", scope.namespaces.join(", ")),
        );
    }
    if let Some(read) = state.and_then(|s| s.interpretation.as_ref()) {
        let model = read
            .model
            .as_ref()
            .map(|model| format!(" {model}"))
            .unwrap_or_default();
        page.field(2, "understood", Tone::Plain, &read.understood);
        page.field(
            2,
            "by",
            Tone::Faint,
            &format!("{}{model}, {} % sure", read.provider, read.confidence),
        );
    }
    page.finish()
}

/// What each step came to, with its place in the audit log.
fn executed(look: &Look, plan: &CommandPlan) -> String {
    let mut page = Page::new(look);
    let Some(state) = &plan.status else {
        return page.finish();
    };
    let begun = state.steps.iter().any(|step| step.state != StepState::Pending);
    if begun {
        page.line(0, Tone::Plain, "");
        page.line(0, Tone::Strong, "Execution");
        state.steps.iter().for_each(|step| step_line(&mut page, step));
    }
    if let Some(Evidence {
        before,
        during: _,
        after,
        verdict,
    }) = &state.evidence
    {
        for (label, text) in [("before", before), ("after", after), ("verdict", verdict)] {
            if !text.is_empty() {
                page.field(2, label, Tone::Plain, text);
            }
        }
    }
    page.finish()
}

fn step_line(page: &mut Page<'_>, step: &StepStatus) {
    let (word, tone) = status::state(step.state);
    let reason = step
        .reason
        .as_ref()
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    let seq = step
        .audit_seq
        .map(|seq| format!(", audit entry {seq}"))
        .unwrap_or_default();
    let ended = step
        .end_time
        .as_ref()
        .map(|time| format!(", {}", time.0))
        .unwrap_or_default();
    page.field(2, &step.id, tone, &format!("{word}{reason}{seq}{ended}"));
    if let Some(excerpt) = &step.excerpt {
        page.line(6, Tone::Plain, excerpt);
    }
    for missed in &step.failed {
        page.line(6, Tone::Bad, &format!("- {missed}"));
    }
}

fn conditions(look: &Look, turn: &Turn) -> String {
    let mut page = Page::new(look);
    let of_request = turn
        .request
        .as_ref()
        .and_then(|r| r.status.as_ref())
        .map(|s| s.conditions.as_slice());
    let of_plan = turn
        .plan
        .as_ref()
        .and_then(|p| p.status.as_ref())
        .map(|s| s.conditions.as_slice());
    for (title, list) in [
        ("Conditions of the turn", of_request),
        ("Conditions of the plan", of_plan),
    ] {
        let list = list.unwrap_or_default();
        if !list.is_empty() {
            page.line(0, Tone::Plain, "");
            page.line(0, Tone::Strong, title);
            list.iter()
                .for_each(|condition| condition_line(&mut page, condition));
        }
    }
    page.finish()
}

fn condition_line(page: &mut Page<'_>, condition: &Condition) {
    page.field(
        2,
        &condition.type_,
        Tone::Plain,
        &format!("{} ({})", condition.status, condition.reason),
    );
    // Not wrapped: a waiting plan's message holds a command to copy.
    for line in condition.message.lines() {
        page.spans(6, &[(Tone::Plain, line)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{now, plan, request, set_plan, set_request, set_step};
    use kubechat_crds::{PlanPhase, RequestPhase};

    #[test]
    fn shows_the_whole_story_of_a_turn() {
        let (mut request, mut plan) = (request(), plan());
        set_request(
            &mut request,
            RequestPhase::Succeeded,
            "True",
            "Executed",
            "all steps were done",
        );
        set_plan(
            &mut plan,
            PlanPhase::Succeeded,
            "True",
            "Executed",
            "all steps were done",
        );
        set_step(&mut plan, 0, StepState::Done);
        let state = plan.status.as_mut().unwrap();
        state.steps[0].audit_seq = Some(12);
        state.rollback_available = true;
        state.evidence = Some(Evidence {
            before: "2 of 2 ready".into(),
            after: "5 of 5 ready".into(),
            verdict: "as asked".into(),
            ..Evidence::default()
        });
        let turn = Turn {
            request: Some(request),
            plan: Some(plan),
        };
        let hints = Hints {
            program: "kubechat",
            namespace: "demo".into(),
            connection: String::new(),
        };
        let shown = text(
            &Look {
                width: Some(90),
                color: false,
            },
            &turn,
            &hints,
            now(),
        );
        let (top, rest) = shown.split_once("\nPlan ask-1-plan  Succeeded\n").unwrap();
        assert_eq!(
            top,
            "\
Turn ask-1  Succeeded
  asked by: alice
  prompt: scale nginx to 5 replicas
  understood: Scale nginx to 5 replicas.
  by: rules, 95 % sure
"
        );
        let (_, end) = rest.split_once("  may decide: group approvers\n").unwrap();
        assert_eq!(
            end,
            "
Execution
  s1: done, audit entry 12
  before: 2 of 2 ready
  after: 5 of 5 ready
  verdict: as asked

Conditions of the turn
  Succeeded: True (Executed)
      all steps were done

Conditions of the plan
  Succeeded: True (Executed)
      all steps were done

Done: 1 of 1 step, as alice.
as asked
Undo it: kubechat rollback ask-1-plan -n demo
"
        );
    }

    #[test]
    fn nothing_known_is_nothing_shown() {
        let hints = Hints {
            program: "kubechat",
            namespace: "demo".into(),
            connection: String::new(),
        };
        assert_eq!(
            text(
                &Look {
                    width: None,
                    color: false
                },
                &Turn::default(),
                &hints,
                now()
            ),
            ""
        );
    }

    #[test]
    fn messages_of_conditions_are_escaped_and_keep_their_lines() {
        let mut request = request();
        set_request(
            &mut request,
            RequestPhase::Pending,
            "Unknown",
            "X",
            "run:\n  kubectl create -f - \u{1b}[0m",
        );
        let shown = conditions(
            &Look {
                width: Some(40),
                color: false,
            },
            &Turn {
                request: Some(request),
                plan: None,
            },
        );
        assert!(
            shown.ends_with("      run:\n        kubectl create -f - \\u{1b}[0m\n"),
            "{shown}"
        );
    }
}
