//! Which flags each kubectl command takes here, and what they set.

use kubechat_crds::intent::{Action, IntentParams, IntentTarget, SortBy};

use super::flags::{self, Flag};
use super::kubectl::Command;
use super::{Ask, Draft, form_net, form_new, form_pieces, names, question_pieces, scope, words};

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
            fits(action, flag)?;
            put(flag, &mut target, &mut params)?;
        }
        if action == Action::Patch {
            typed(&command.flags, &params)?;
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
        Flag::Replicas(_) => matches!(action, Action::Scale | Action::CreateDeployment),
        Flag::CurrentReplicas(_) => action == Action::Scale,
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
        Flag::Overwrite(_) => matches!(action, Action::Label | Action::Annotate | Action::Taint),
        Flag::DryRun(_) => change,
        Flag::Output(_) => matches!(action, Action::Get | Action::List | Action::Events),
        Flag::Image(_) => flags::is_of("--image", action),
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
        Flag::Image(image) => params.image = Some(image.clone()),
        Flag::Named(name, value) => named(name, value, params)?,
    }
    Ok(())
}

/// `--type` is a flag of two commands that mean different things by it.
fn fits(action: Action, flag: &Flag) -> Result<(), Ask> {
    let Flag::Named("--type", value) = flag else {
        return Ok(());
    };
    let values: &[&str] = match action {
        Action::Patch => &["merge", "json"],
        _ => &["ClusterIP", "NodePort", "LoadBalancer"],
    };
    if values.contains(&value.as_str()) {
        return Ok(());
    }
    Err(Ask::new(format!(
        "{} is not a value that --type takes for {action} here; it takes {}",
        names::shown(value),
        values.join(" or ")
    )))
}

/// A patch says of which type it is: without one kubectl merges lists by their keys, where a merge patch replaces them.
fn typed(flags: &[(String, Flag)], params: &IntentParams) -> Result<(), Ask> {
    let Some(patch) = &params.patch else {
        return Ok(());
    };
    let said = flags.iter().find_map(|(_, flag)| match flag {
        Flag::Named("--type", value) => Some(value.as_str()),
        _ => None,
    });
    match (said, patch.starts_with('[')) {
        (Some("merge"), false) | (Some("json"), true) => Ok(()),
        (Some("merge"), true) => Err(Ask::new(
            "--type=merge takes a JSON object, and this patch is an array; an array needs --type=json",
        )),
        (Some(_), _) => Err(Ask::new(
            "--type=json takes a JSON array of operations, and this patch is an object; an object needs --type=merge",
        )),
        (None, _) => Err(Ask::new(
            "Without --type kubectl makes a strategic patch, which is not modelled here. Say --type=merge (lists are replaced as a whole) or --type=json",
        )),
    }
}

/// Puts a pair of a line in, or takes its key away: each key is said once.
pub(super) fn pair(params: &mut IntentParams, key: &str, value: Option<&str>) -> Result<(), Ask> {
    if params.set.contains_key(key) || params.remove.iter().any(|known| known == key) {
        return Err(twice(key));
    }
    match value {
        Some(value) => {
            params.set.insert(key.to_owned(), value.to_owned());
        }
        None => params.remove.push(key.to_owned()),
    }
    Ok(())
}

fn twice(key: &str) -> Ask {
    Ask::new(format!(
        "{} is said twice in the kubectl line; say it once",
        names::shown(key)
    ))
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
        "--revision" => params.revision = Some(i64::from(number(i32::MAX).ok_or_else(wrong)?)),
        "--sort-by" => {
            params.sort = Some(match value {
                "cpu" => SortBy::Cpu,
                "memory" => SortBy::Memory,
                _ => return Err(wrong()),
            });
        }
        "--patch" => params.patch = Some(form_pieces::patch_text(value)?),
        "--port" => params.port = Some(number(65_535).ok_or_else(wrong)?),
        "--target-port" => params.target_port = Some(number(65_535).ok_or_else(wrong)?),
        "--name" if names::is_label(value) => params.new_name = Some(value.to_owned()),
        "--from" if value.starts_with("cronjob/") => params.from = Some(value.to_owned()),
        "--schedule" => params.schedule = Some(form_new::cron(value)?),
        "--rule" => rule(value, params).ok_or_else(wrong)?,
        "--class" if names::is_subdomain(value) => params.class_name = Some(value.to_owned()),
        "--role" | "--clusterrole"
            if params.from.is_none() && names::object_problem(value, Some("Role")).is_none() =>
        {
            params.from = Some(format!("{}/{value}", name.trim_start_matches('-')));
        }
        "--user" | "--group" | "--serviceaccount" => {
            let subject = format!("{}/{}", name.trim_start_matches('-'), value.replace(':', "/"));
            let subject = if name == "--serviceaccount" {
                subject
            } else {
                format!("{}/{value}", name.trim_start_matches('-'))
            };
            form_net::check_subject(&subject)?;
            params.subjects.push(subject);
        }
        "--from-literal" => {
            let (key, text) = value
                .split_once('=')
                .filter(|(k, _)| names::is_data_key(k))
                .ok_or_else(wrong)?;
            pair(params, key, Some(text))?;
        }
        "--hard" => params.limits = amounts(value)?,
        "--min-available" if is_bound(value) => params.min_available = Some(value.to_owned()),
        "--max-unavailable" if is_bound(value) => params.max_unavailable = Some(value.to_owned()),
        "--type" if matches!(value, "ClusterIP" | "NodePort" | "LoadBalancer") => {
            params.service_type = Some(value.to_owned());
        }
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

/// `host/path*=service:port`.
fn rule(value: &str, params: &mut IntentParams) -> Option<()> {
    let (route, backend) = value.split_once('=')?;
    let (host, path) = route.split_once('/')?;
    let (service, port) = backend.split_once(':')?;
    // A path without a star is exact in kubectl, which is not modelled.
    let path = path.strip_suffix('*')?;
    if !names::is_subdomain(host) || !names::is_subdomain(service) || path.contains('*') {
        return None;
    }
    params.host = Some(host.to_owned());
    params.path = Some(format!("/{path}")).filter(|p| p != "/");
    params.from = Some(format!("service/{service}"));
    params.port = Some(port.parse().ok().filter(|n| (1..=65_535).contains(n))?);
    Some(())
}

/// A number or a percentage.
fn is_bound(value: &str) -> bool {
    let digits = value.strip_suffix('%').unwrap_or(value);
    !digits.is_empty() && digits.len() <= 7 && digits.bytes().all(|b| b.is_ascii_digit())
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
        if out.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(twice(key));
        }
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
    let lists = matches!(
        action,
        Action::List | Action::Get | Action::Events | Action::Top | Action::CanI | Action::Explain
    );
    if !(picked || target.all || lists) {
        return missing("a name, a selector or --all");
    }
    let makes = super::form_create::makes(action);
    if (target.all || target.selector.is_some()) && !target.names.is_empty() && !makes {
        return Err(Ask::new(
            "The kubectl line names objects and selects others; say one of the two",
        ));
    }
    Ok(())
}
/// A question, about a target that it can be answered for.
pub(super) fn question(
    command: &Command,
    action: Action,
    targets: Vec<IntentTarget>,
) -> Result<Vec<Draft>, Ask> {
    let mut drafts = one(command, action, targets)?;
    for draft in &mut drafts {
        draft.target = question_pieces::fitting(action, std::mem::take(&mut draft.target), &draft.params)?;
    }
    Ok(drafts)
}
