//! A plan as an approver must see it: every step with its exact change, the rights it rests on, the risk with its
//! reasons, who must agree, and what undoes it. Nothing that is approved is left out.

use jiff::Timestamp;
use kube::ResourceExt;
use kubechat_core::blast::words;
use kubechat_core::lifecycle::chat_session;
use kubechat_crds::command_plan::{
    Access, BlastRadius, Effect, FieldOwner, RequestRef, Requirement, RiskFactor, RollbackKind, Target,
};
use kubechat_crds::{CommandPlan, Level, Step};

use super::{Hints, Look, Page, Tone, count, left, status};
use crate::cli::turn::{expires_in, plan_phase, takes_decisions};

/// Most targets named one by one; the command and the diff name the rest.
const MAX_TARGETS_NAMED: usize = 20;

/// The whole plan. Ends with who must approve; the commands to do so come from [`decide_hints`].
pub(crate) fn plan(look: &Look, plan: &CommandPlan, now: Timestamp) -> String {
    let mut page = Page::new(look);
    head(&mut page, plan, now);
    for step in &plan.spec.steps {
        page.gap();
        step_block(&mut page, step);
    }
    page.gap();
    risk(&mut page, plan);
    page.gap();
    if let Some(radius) = &plan.spec.blast_radius {
        blast(&mut page, radius);
        page.gap();
    }
    approvals(&mut page, plan);
    if !plan.spec.notes.is_empty() {
        page.gap();
        page.line(0, Tone::Strong, "Notes");
        for note in &plan.spec.notes {
            page.line(2, Tone::Warn, &format!("- {note}"));
        }
    }
    page.finish()
}

/// How somebody decides on a waiting plan: the exact commands. Empty when it takes no decision.
pub(crate) fn decide_hints(look: &Look, plan: &CommandPlan, hints: &Hints, now: Timestamp) -> String {
    let mut page = Page::new(look);
    if takes_decisions(plan, now) {
        let name = plan.name_any();
        let approve = hints.other(&format!("approve {name}"));
        let deny = hints.other(&format!("deny {name} --reason '...'"));
        page.spans(0, &[(Tone::Faint, "Approve: "), (Tone::Plain, &approve)]);
        page.spans(0, &[(Tone::Faint, "Deny:    "), (Tone::Plain, &deny)]);
    }
    page.finish()
}

/// How a level is coloured.
pub(crate) fn level_tone(level: Level) -> Tone {
    match level {
        Level::Safe => Tone::Good,
        Level::Caution => Tone::Warn,
        Level::Destructive => Tone::Bad,
    }
}

fn head(page: &mut Page<'_>, plan: &CommandPlan, now: Timestamp) {
    let (phase, tone) = status::phase_of_plan(plan_phase(plan));
    let name = plan.name_any();
    page.spans(
        0,
        &[
            (Tone::Strong, "Plan "),
            (Tone::Strong, &name),
            (Tone::Plain, "  "),
            (tone, phase),
        ],
    );
    let spec = &plan.spec;
    page.field(2, "asked by", Tone::Plain, &spec.requester.username);
    if let Some(RequestRef { name, uid: _ }) = &spec.rollback_of {
        page.field(2, "undoes", Tone::Plain, &format!("plan {name}"));
    }
    if let Some(cluster) = &spec.cluster_ref {
        page.field(2, "cluster", Tone::Plain, &cluster.name);
    }
    let expiry = match expires_in(plan, now) {
        Some(seconds) if seconds > 0 => format!("in {} ({})", left(seconds), spec.expires_at),
        Some(_) => format!("expired ({})", spec.expires_at),
        None => spec.expires_at.clone(),
    };
    page.field(2, "expires", Tone::Plain, &expiry);
    page.field(2, "digest", Tone::Faint, &spec.digest);
}

fn step_block(page: &mut Page<'_>, step: &Step) {
    let title = format!("Step {}  {}  ", step.id, step.action);
    page.spans(
        0,
        &[
            (Tone::Strong, &title),
            (level_tone(step.level), step.level.as_str()),
        ],
    );
    page.spans(2, &[(Tone::Faint, "$ "), (Tone::Plain, &step.command)]);
    targets(page, &step.targets);
    diff(page, step);
    page.field(2, "rights", rights_tone(&step.access), &rights(&step.access));
    if !step.selected_by.is_empty() {
        page.field(2, "selected by", Tone::Warn, &step.selected_by.join(", "));
    }
    if !step.adopts.is_empty() {
        page.field(2, "takes over", Tone::Warn, &step.adopts.join(", "));
    }
    for owner in &step.owners {
        page.line(
            2,
            if owner.will_be_undone {
                Tone::Bad
            } else {
                Tone::Warn
            },
            &owned(owner),
        );
    }
    let (undo, tone) = match step.rollback.kind {
        RollbackKind::Inverse => ("undo", Tone::Plain),
        RollbackKind::Recreate => ("undo (created again)", Tone::Warn),
        RollbackKind::None => ("undo: nothing", Tone::Bad),
    };
    page.field(2, undo, tone, &step.rollback.why);
}

fn targets(page: &mut Page<'_>, targets: &[Target]) {
    let label = if targets.len() == 1 { "object" } else { "objects" };
    let mut named: Vec<String> = targets.iter().take(MAX_TARGETS_NAMED).map(target).collect();
    if targets.len() > MAX_TARGETS_NAMED {
        named.push(format!("and {} more", targets.len() - MAX_TARGETS_NAMED));
    }
    page.field(2, label, Tone::Plain, &named.join(", "));
}

fn target(target: &Target) -> String {
    let place = target
        .namespace
        .as_ref()
        .map(|n| format!(" in {n}"))
        .unwrap_or_default();
    format!("{}/{}{place}", target.kind.to_lowercase(), target.name)
}

fn diff(page: &mut Page<'_>, step: &Step) {
    if step.diff.is_empty() {
        if let Some(manifest) = &step.manifest {
            let what = if step.effect == Effect::Create {
                "creates"
            } else {
                "sends"
            };
            page.field(2, what, Tone::Good, manifest);
        }
        return;
    }
    let mut shown = None;
    for line in &step.diff {
        if step.targets.len() > 1 && shown != Some(line.target) {
            let of = usize::try_from(line.target)
                .ok()
                .and_then(|index| step.targets.get(index));
            page.line(2, Tone::Strong, &of.map_or_else(|| "?".to_owned(), target));
            shown = Some(line.target);
        }
        page.line(4, Tone::Plain, &line.path);
        if let Some(before) = &line.before {
            page.line(6, Tone::Bad, &format!("- {before}"));
        }
        if let Some(after) = &line.after {
            page.line(6, Tone::Good, &format!("+ {after}"));
        }
    }
}

fn rights(access: &[Access]) -> String {
    let each = access.iter().map(|right| {
        let place = right
            .namespace
            .as_ref()
            .map_or_else(|| "cluster-wide".to_owned(), |n| format!("in {n}"));
        let answer = if right.allowed { "" } else { " (NOT ALLOWED)" };
        format!("{} {} {place}{answer}", right.verb, right.resource)
    });
    let text = each.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "none needed".to_owned()
    } else {
        text
    }
}

fn rights_tone(access: &[Access]) -> Tone {
    if access.iter().all(|right| right.allowed) {
        Tone::Plain
    } else {
        Tone::Bad
    }
}

fn owned(owner: &FieldOwner) -> String {
    let FieldOwner {
        field,
        manager,
        will_be_undone,
    } = owner;
    let then = if *will_be_undone {
        "and will put it back"
    } else {
        "too"
    };
    format!("{manager} writes {field} {then}")
}

fn risk(page: &mut Page<'_>, plan: &CommandPlan) {
    let risk = &plan.spec.risk;
    let score = format!("  score {} of 100", risk.score);
    page.spans(
        0,
        &[
            (Tone::Strong, "Risk  "),
            (level_tone(risk.level), risk.level.as_str()),
            (Tone::Plain, &score),
        ],
    );
    for factor in &risk.factors {
        let RiskFactor {
            id: _,
            weight,
            text,
            evidence,
        } = factor;
        let evidence = if evidence.is_empty() {
            String::new()
        } else {
            format!(" ({evidence})")
        };
        // A floor rule sets the level and weighs nothing in the score.
        let label = match weight {
            0 => format!("at least {}", risk.level),
            weight => format!("{weight:>3}"),
        };
        page.field(2, &label, Tone::Plain, &format!("{text}{evidence}"));
    }
}

fn blast(page: &mut Page<'_>, radius: &BlastRadius) {
    page.line(0, Tone::Strong, "Blast radius");
    let hurts = radius.pods_lost > 0
        || !radius.complete
        || !radius.services_at_zero.is_empty()
        || !radius.pdbs_violated.is_empty()
        || !radius.pvcs.is_empty();
    let tone = if hurts { Tone::Warn } else { Tone::Plain };
    for line in words::lines(radius) {
        page.line(2, tone, &format!("- {line}"));
    }
}

fn approvals(page: &mut Page<'_>, plan: &CommandPlan) {
    let received = plan.status.as_ref().and_then(|status| status.approvals.as_ref());
    let summary = received
        .map(|approvals| format!("  {}", approvals.summary))
        .unwrap_or_default();
    page.spans(0, &[(Tone::Strong, "Approval"), (Tone::Plain, &summary)]);
    if plan.spec.requirement.is_empty() {
        page.line(2, Tone::Plain, "none is required");
    }
    for entry in &plan.spec.requirement {
        page.line(2, Tone::Plain, &format!("- {}", requirement(entry)));
    }
    page.field(2, "may decide", Tone::Plain, &eligible(plan));
    for decision in received.iter().flat_map(|approvals| &approvals.decisions) {
        page.line(2, Tone::Plain, &super::progress::decision(decision));
    }
}

/// One entry of the requirement in words.
fn requirement(entry: &Requirement) -> String {
    let Requirement {
        policy,
        rule,
        count: people,
        groups,
        users,
        self_confirm,
        signature,
        break_glass,
    } = entry;
    let mut text = count(i64::from(*people), "person", "people");
    let members: Vec<String> = groups
        .iter()
        .map(|g| format!("group {g}"))
        .chain(users.iter().map(|u| format!("user {u}")))
        .collect();
    if !members.is_empty() {
        text = format!("{text} of {}", members.join(", "));
    }
    text = match rule {
        Some(rule) => format!("{text} (policy {policy}, rule {rule})"),
        None => match chat_session::asked_by(entry) {
            Some(session) => format!("{text} (session {session} confirms every change)"),
            None => format!("{text} (policy {policy})"),
        },
    };
    if *self_confirm {
        text.push_str("; the requester may confirm it");
    }
    if *signature {
        text.push_str("; signed");
    }
    if !break_glass.is_empty() {
        text.push_str(&format!(
            "; in an emergency one of group {}",
            break_glass.join(", ")
        ));
    }
    text
}

/// Who may decide: as the operator found out, else by the right it takes.
pub(crate) fn eligible(plan: &CommandPlan) -> String {
    let known = plan
        .status
        .as_ref()
        .and_then(|s| s.approvals.as_ref())
        .map(|a| a.eligible.join(", "));
    known.filter(|names| !names.is_empty()).unwrap_or_else(|| {
        let verb = plan.spec.risk.level.approve_verb();
        format!("whoever may {verb} commandplans.kubechat.io where the plan acts")
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
