//! Which flags each kubectl command takes here, and what they set.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget};

use super::flags::{self, Flag};
use super::kubectl::Command;
use super::{Ask, Draft, form_pieces, names, scope, words};

/// Targets with the flags put in; a flag that the command does not take is refused by name.
pub(super) fn one(command: &Command, action: Action, targets: Vec<IntentTarget>) -> Result<Vec<Draft>, Ask> {
    let mut out = Vec::new();
    for mut target in targets {
        let mut params = IntentParams::default();
        for (name, flag) in &command.flags {
            if !takes(action, flag) {
                return Err(Ask::new(format!(
                    "The flag {} is not modelled for {action}; nothing was done",
                    names::shown(name)
                )));
            }
            put(flag, &mut target, &mut params)?;
        }
        needs(action, &target, &params)?;
        for name in &target.names {
            scope::check_name(name, target.kind.as_deref(), action)?;
        }
        out.push(Draft {
            action,
            target,
            params,
        });
    }
    Ok(out)
}

fn takes(action: Action, flag: &Flag) -> bool {
    let change = !action.is_read();
    match flag {
        Flag::Namespace(_) => !matches!(
            action,
            Action::Cordon
                | Action::Uncordon
                | Action::CreateNamespace
                | Action::Taint
                | Action::Untaint
                | Action::Drain
        ),
        Flag::AllNamespaces => matches!(
            action,
            Action::List
                | Action::Get
                | Action::Describe
                | Action::Events
                | Action::Delete
                | Action::Label
                | Action::Annotate
        ),
        Flag::Selector(_) => !matches!(action, Action::Events | Action::CreateNamespace),
        Flag::All => matches!(
            action,
            Action::Delete
                | Action::Label
                | Action::Annotate
                | Action::Scale
                | Action::SetImage
                | Action::SetEnv
                | Action::SetResources
                | Action::Taint
                | Action::Untaint
        ),
        Flag::Replicas(_) | Flag::CurrentReplicas(_) => action == Action::Scale,
        Flag::Requests(_) | Flag::Limits(_) => action == Action::SetResources,
        Flag::Container(_) => matches!(action, Action::SetResources | Action::SetEnv | Action::Logs),
        Flag::Named(name, _) => flags::is_of(name, action),
        Flag::ToRevision(_) => action == Action::RolloutUndo,
        Flag::Force | Flag::GracePeriod(_) | Flag::IgnoreNotFound(_) => {
            action == Action::Delete
                || (action == Action::Drain && !matches!(flag, Flag::IgnoreNotFound(_)))
                || matches!(
                    (action, flag),
                    (Action::Get | Action::List, Flag::IgnoreNotFound(_))
                )
        }
        Flag::Tail(_) | Flag::Since(_) | Flag::Previous => action == Action::Logs,
        Flag::Overwrite(_) => matches!(action, Action::Label | Action::Annotate),
        Flag::DryRun(_) => change,
        Flag::Output(_) => matches!(action, Action::Get | Action::List | Action::Events),
        Flag::Image(_) => false,
    }
}

fn put(flag: &Flag, target: &mut IntentTarget, params: &mut IntentParams) -> Result<(), Ask> {
    let count = |n: i64| i32::try_from(n).ok();
    match flag {
        Flag::Namespace(name) => target.namespace = Some(name.clone()),
        Flag::AllNamespaces => target.all_namespaces = true,
        Flag::Selector(text) => target.selector = Some(text.clone()),
        Flag::All => target.all = true,
        Flag::Replicas(n) => params.replicas = count(*n),
        Flag::CurrentReplicas(n) => params.current_replicas = count(*n),
        Flag::Requests(text) => params.requests = amounts(text)?,
        Flag::Limits(text) => params.limits = amounts(text)?,
        Flag::ToRevision(n) => params.revision = Some(*n).filter(|n| *n > 0),
        Flag::Force => params.force = Some(true),
        Flag::GracePeriod(n) => params.grace_period_seconds = Some(*n),
        Flag::Tail(n) => params.tail = Some(*n),
        Flag::Since(n) => params.since_seconds = Some(*n),
        Flag::Previous => params.previous = Some(true),
        Flag::Container(name) => params.container = Some(name.clone()),
        Flag::Overwrite(on) => params.overwrite = Some(*on),
        Flag::DryRun(on) => params.dry_run = Some(true).filter(|_| *on),
        Flag::Output(output) => params.output = Some(*output),
        Flag::IgnoreNotFound(on) => params.ignore_not_found = Some(true).filter(|_| *on),
        Flag::Image(_) => {}
        Flag::Named(name, value) => named(name, value, params)?,
    }
    Ok(())
}

/// A flag of a form.
fn named(name: &str, value: &str, params: &mut IntentParams) -> Result<(), Ask> {
    let wrong = || {
        Ask::new(format!(
            "{} is not a value that {name} takes",
            names::shown(value)
        ))
    };
    let number = |max: i32| {
        value
            .trim_end_matches('%')
            .parse::<i32>()
            .ok()
            .filter(|n| (1..=max).contains(n))
    };
    match name {
        "--min" => params.min_replicas = Some(number(1_000_000).ok_or_else(wrong)?),
        "--max" => params.max_replicas = Some(number(1_000_000).ok_or_else(wrong)?),
        "--cpu-percent" | "--cpu" => params.cpu_percent = Some(number(10_000).ok_or_else(wrong)?),
        "--patch" => params.patch = Some(form_pieces::patch_text(value)?),
        "--ignore-daemonsets" | "--delete-emptydir-data" => {}
        "--timeout" => {
            let seconds = words::compact_duration(value).filter(|s| (1..=300).contains(s));
            params.timeout_seconds = Some(seconds.ok_or_else(wrong)?);
        }
        // A patch says by itself which of the two it is; a strategic one is a third thing.
        "--type" if matches!(value, "merge" | "json") => {}
        _ => return Err(wrong()),
    }
    Ok(())
}

/// `cpu=500m,memory=512Mi`, taken literally.
fn amounts(text: &str) -> Result<std::collections::BTreeMap<String, String>, Ask> {
    let mut out = std::collections::BTreeMap::new();
    for part in text.split(',') {
        let wrong = || Ask::new(format!("{} is not KEY=QUANTITY", names::shown(part)));
        let (key, value) = part.split_once('=').ok_or_else(wrong)?;
        let quantity = value.starts_with(|c: char| c.is_ascii_digit())
            && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if !names::is_key(key) || !quantity {
            return Err(wrong());
        }
        out.insert(key.to_owned(), value.to_owned());
    }
    Ok(out)
}

fn needs(action: Action, target: &IntentTarget, params: &IntentParams) -> Result<(), Ask> {
    let picked = !target.names.is_empty() || target.selector.is_some();
    let missing = |what: &str| Err(Ask::new(format!("The kubectl line needs {what}")));
    if action == Action::Scale && params.replicas.is_none() {
        return missing("--replicas");
    }
    if action == Action::SetResources && params.requests.is_empty() && params.limits.is_empty() {
        return missing("--requests or --limits");
    }
    let lists = matches!(action, Action::List | Action::Get | Action::Events);
    if !(picked || target.all || lists) {
        return missing("a name, a selector or --all");
    }
    if (target.all || target.selector.is_some()) && !target.names.is_empty() {
        return Err(Ask::new(
            "The kubectl line names objects and selects others; say one of the two",
        ));
    }
    Ok(())
}
