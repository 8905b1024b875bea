//! `kubechat policy test`: replays plans against packs and shows what would change. Works on files, needs no cluster.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use kubechat_core::lifecycle::chat_session;
use kubechat_core::policy::{self, Effective, Evaluation, at_least};
use kubechat_crds::command_plan::Requirement;
use kubechat_crds::{CommandPlan, CommandPlanSpec, Level, RiskPolicy};
use serde::Serialize;
use serde_json::Value;

use super::error::CliError;
use super::exit::Exit;
use super::render::table::table;
use super::render::{Look, Page, Tone};
use super::ui;
use crate::args::{AuditFormat, ColorChoice, Format, PolicyCommand, PolicyTestArgs};

/// Bytes of a file at most.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// `kubechat policy ...`.
pub(crate) fn policy(command: &PolicyCommand, color: ColorChoice) -> Result<Exit, CliError> {
    let look = ui::look(Format::Table, color);
    let (text, exit) = match command {
        PolicyCommand::Test(args) => test(&look, args)?,
    };
    ui::print(&text);
    Ok(exit)
}

/// How a plan fares under the given packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    /// As recorded.
    Same,
    /// More is asked for.
    Stricter,
    /// Less is asked for.
    Weaker,
    /// More in one place, less in another.
    Different,
    /// It would be denied.
    Denied,
}

/// What is shown of one plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    plan: String,
    change: Change,
    recorded: Judgement,
    given: Judgement,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_by: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Rules that matched.
    rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    microseconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Judgement {
    level: Level,
    requirement: Vec<Requirement>,
}

fn test(look: &Look, args: &PolicyTestArgs) -> Result<(String, Exit), CliError> {
    let PolicyTestArgs {
        file,
        plans,
        at,
        measure,
        output,
    } = args;
    let packs = packs(file)?;
    let packs = Effective::from_policies(&packs).map_err(|problem| CliError::Usage(problem.message))?;
    let now = at.unwrap_or_else(Timestamp::now);
    let found: Vec<Replayed> = read_plans(plans)?
        .iter()
        .map(|(name, plan)| replay(name, plan, &packs, now, *measure))
        .collect();
    let exit = if found.iter().all(|r| r.change == Change::Same) {
        Exit::Done
    } else {
        Exit::PolicyChanges
    };
    let text = match output {
        AuditFormat::Json => {
            let mut text =
                serde_json::to_string_pretty(&found).map_err(|e| CliError::Other(e.to_string()))?;
            text.push('\n');
            text
        }
        AuditFormat::Table => shown(look, &found),
    };
    Ok((text, exit))
}

fn replay(
    name: &str,
    plan: &CommandPlanSpec,
    packs: &Effective,
    now: Timestamp,
    measure: Option<u32>,
) -> Replayed {
    // What a session asked for beyond the packs stays as it is, whatever they say.
    let mut plan = plan.clone();
    plan.requirement
        .retain(|entry| chat_session::asked_by(entry).is_none());
    let plan = &plan;
    // By the recorded judgement: only the packs differ, not the release that judged.
    let found = packs.evaluate(plan, now);
    let microseconds = measure.filter(|n| *n > 0).map(|rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(packs.evaluate(std::hint::black_box(plan), now));
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
    });
    let rules = found
        .records
        .iter()
        .filter_map(|r| Some(format!("{}/{} ({})", r.name, r.rule.as_ref()?, r.effect)))
        .collect();
    Replayed {
        plan: name.to_owned(),
        change: change(plan, &found),
        recorded: Judgement {
            level: plan.risk.level,
            requirement: plan.requirement.clone(),
        },
        given: Judgement {
            level: found.level,
            requirement: found.requirement.clone(),
        },
        denied_by: found.denied.as_ref().map(|d| format!("{}/{}", d.policy, d.rule)),
        message: found.denied.map(|d| d.message).unwrap_or_default(),
        notes: found.notes,
        rules,
        microseconds,
    }
}

/// By what is asked for, whichever pack asks it: the given pack may have another name than the recorded ones.
fn change(recorded: &CommandPlanSpec, found: &Evaluation) -> Change {
    if found.denied.is_some() {
        return Change::Denied;
    }
    let nameless = |all: &[Requirement]| -> Vec<Requirement> {
        let nameless = |r: &Requirement| Requirement {
            policy: String::new(),
            rule: None,
            ..r.clone()
        };
        all.iter().map(nameless).collect()
    };
    let (before, after) = (nameless(&recorded.requirement), nameless(&found.requirement));
    let more = !at_least(&before, &after) || found.level > recorded.risk.level;
    let less = !at_least(&after, &before) || found.level < recorded.risk.level;
    match (more, less) {
        (false, false) => Change::Same,
        (true, false) => Change::Stricter,
        (false, true) => Change::Weaker,
        (true, true) => Change::Different,
    }
}

/// `caution: 1 (self)`, `destructive: 1 + 2 of ops`.
fn words(judgement: &Judgement) -> String {
    let one = |r: &Requirement| {
        let mut text = r.count.to_string();
        let who: Vec<&str> = r.groups.iter().chain(&r.users).map(String::as_str).collect();
        if !who.is_empty() {
            text.push_str(&format!(" of {}", who.join("|")));
        }
        if r.self_confirm {
            text.push_str(" (self)");
        }
        if r.signature {
            text.push_str(" signed");
        }
        text
    };
    let all: Vec<String> = judgement.requirement.iter().map(one).collect();
    let all = if all.is_empty() {
        "nobody".to_owned()
    } else {
        all.join(" + ")
    };
    format!("{}: {all}", judgement.level)
}

fn shown(look: &Look, found: &[Replayed]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|r| {
            let given = r
                .denied_by
                .as_ref()
                .map_or_else(|| words(&r.given), |by| format!("denied by {by}"));
            let change = match r.change {
                Change::Same => "same",
                Change::Stricter => "stricter",
                Change::Weaker => "weaker",
                Change::Different => "different",
                Change::Denied => "denied",
            };
            let mut row = vec![
                r.plan.clone(),
                change.to_owned(),
                words(&r.recorded),
                given,
                r.rules.join(", "),
            ];
            row.extend(r.microseconds.map(|us| format!("{us:.1}")));
            row
        })
        .collect();
    let mut columns = vec!["PLAN", "CHANGE", "RECORDED", "GIVEN", "RULES"];
    if found.iter().any(|r| r.microseconds.is_some()) {
        columns.push("MICROSECONDS");
    }
    let tone = |row: usize, column: usize| match (column, found.get(row).map(|r| r.change)) {
        (1, Some(Change::Denied)) => Tone::Bad,
        (1, Some(Change::Stricter | Change::Different | Change::Weaker)) => Tone::Warn,
        (1, Some(Change::Same)) => Tone::Good,
        _ => Tone::Plain,
    };
    let mut text = table(look, &columns, &rows, tone);
    let mut page = Page::new(look);
    for replayed in found.iter().filter(|r| !r.message.is_empty()) {
        page.line(
            0,
            Tone::Plain,
            &format!("{}: {}", replayed.plan, replayed.message),
        );
    }
    for (replayed, note) in found.iter().flat_map(|r| r.notes.iter().map(move |n| (r, n))) {
        page.line(0, Tone::Plain, &format!("{}: {note}", replayed.plan));
    }
    let changed = found.iter().filter(|r| r.change != Change::Same).count();
    page.line(
        0,
        Tone::Strong,
        &format!("{changed} of {} plans would be judged otherwise.", found.len()),
    );
    text.push_str(&page.finish());
    text
}

/// The objects of a file: one, several documents, or a List as kubectl prints it.
fn objects(path: &Path) -> Result<Vec<Value>, CliError> {
    let cannot =
        |why: &dyn std::fmt::Display| CliError::Usage(format!("cannot read {}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| cannot(&e))?.len();
    if size > MAX_FILE {
        return Err(cannot(&format!("it is longer than {MAX_FILE} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| cannot(&e))?;
    let mut all = vec![];
    for document in format!("\n{text}")
        .split("\n---")
        .filter(|d| !d.trim().is_empty())
    {
        let value: Value = match serde_json::from_str(document) {
            Ok(value) => value,
            Err(_) => serde_saphyr::from_str(document).map_err(|e| cannot(&e))?,
        };
        match value.get("items").and_then(Value::as_array) {
            Some(items) => all.extend(items.iter().cloned()),
            None if value.is_null() => {}
            None => all.push(value),
        }
    }
    if all.is_empty() {
        return Err(cannot(&"it holds no object"));
    }
    Ok(all)
}

fn typed<K: serde::de::DeserializeOwned>(path: &Path, kind: &str, value: &Value) -> Result<K, CliError> {
    let found = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("nothing known");
    if found != kind {
        return Err(CliError::Usage(format!(
            "{} holds a {found}, not a {kind}",
            path.display()
        )));
    }
    serde_json::from_value(value.clone())
        .map_err(|e| CliError::Usage(format!("{} holds no valid {kind}: {e}", path.display())))
}

fn packs(files: &[PathBuf]) -> Result<Vec<RiskPolicy>, CliError> {
    let mut all: Vec<RiskPolicy> = vec![];
    for path in files {
        for value in objects(path)? {
            let pack: RiskPolicy = typed(path, "RiskPolicy", &value)?;
            let name = pack.metadata.name.as_deref().unwrap_or_default();
            if all.iter().any(|p| p.metadata.name.as_deref() == Some(name)) {
                return Err(CliError::Usage(format!("two RiskPolicies are named {name:?}")));
            }
            for doubt in policy::doubtful(&pack.spec) {
                ui::print_error(ColorChoice::Never, &format!("{name}: {doubt}"));
            }
            all.push(pack);
        }
    }
    Ok(all)
}

fn read_plans(path: &Path) -> Result<Vec<(String, CommandPlanSpec)>, CliError> {
    let mut files = vec![];
    if path.is_dir() {
        let entries = std::fs::read_dir(path)
            .map_err(|e| CliError::Usage(format!("cannot read {}: {e}", path.display())))?;
        let wanted = |p: &PathBuf| {
            p.extension()
                .and_then(|e| e.to_str())
                .is_some_and(|e| ["yaml", "yml", "json"].contains(&e))
        };
        files.extend(entries.filter_map(Result::ok).map(|e| e.path()).filter(wanted));
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    if files.is_empty() {
        return Err(CliError::Usage(format!(
            "{} holds no .yaml, .yml or .json file. Get plans with: kubectl get commandplans -A -o json > plans.json",
            path.display()
        )));
    }
    let mut all = vec![];
    for file in files {
        for value in objects(&file)? {
            let plan: CommandPlan = typed(&file, "CommandPlan", &value)?;
            let name = plan.metadata.name.unwrap_or_default();
            let name = plan
                .metadata
                .namespace
                .map_or(name.clone(), |ns| format!("{ns}/{name}"));
            all.push((name, plan.spec));
        }
    }
    Ok(all)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
