//! The one sentence that says what was understood, and the phrases it is made of.

use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, SortBy};

use super::{Interpretation, question_pieces};

/// Beyond so many requests the sentence gives their number only.
const MAX_SPELLED: usize = 8;

/// What was understood, with corrected typing errors and ignored characters.
pub(super) fn understood(
    result: &Interpretation,
    typos: &[(String, String)],
    invisible: &[char],
    dropped: usize,
) -> String {
    let mut out = match result {
        Interpretation::Intents(intents) => format!("Understood: {}", phrases(intents)),
        Interpretation::WhatIf(intents) => format!(
            "Understood as a question, nothing will be changed: what if I {}",
            phrases(intents)
        ),
        Interpretation::NeedsInput { message, .. } => {
            format!("Not clear yet: {}", message.trim_end_matches('.'))
        }
        Interpretation::Chat { .. } => "Understood as talk that asks for nothing".to_owned(),
        Interpretation::UndoPrevious => "Understood: undo the last plan of this session".to_owned(),
    };
    for (written, read) in typos {
        out.push_str(&format!(" (read {} as '{read}')", super::names::shown(written)));
    }
    if dropped > 0 {
        let list: Vec<String> = invisible.iter().map(|c| c.escape_unicode().to_string()).collect();
        let what = if dropped == 1 { "character" } else { "characters" };
        out.push_str(&format!(
            " (ignored {dropped} invisible {what}: {})",
            list.join(" ")
        ));
    }
    out.push('.');
    out
}

/// All requests in order.
pub(super) fn phrases(intents: &[Intent]) -> String {
    if intents.len() > MAX_SPELLED {
        return format!("{} requests", intents.len());
    }
    let list: Vec<String> = intents.iter().map(phrase).collect();
    list.join(", then ")
}

/// One request in words; it reads back as the same request.
pub(super) fn phrase(intent: &Intent) -> String {
    let (params, mut target) = (&intent.params, objects(&intent.target));
    let mut place = place(&intent.target);
    // Said after the traffic, a place could be where that comes from.
    if params.allow_from.is_some() {
        target.push_str(&std::mem::take(&mut place));
    }
    let dry = if params.dry_run == Some(true) {
        " (plan only)"
    } else {
        ""
    };
    let body = match intent.action {
        Action::List => {
            let state = params.state.as_ref().map_or(String::new(), |s| format!("{s} "));
            let order = params.sort.map_or("", |by| match by {
                SortBy::Restarts => " by restarts",
                SortBy::Cpu | SortBy::Memory => "",
            });
            format!("list {state}{target}{order}")
        }
        Action::Get => format!("show {target}"),
        Action::Describe => format!("describe {target}"),
        Action::Count => {
            let state = params.state.as_ref().map_or(String::new(), |s| format!("{s} "));
            format!("count {state}{target}")
        }
        Action::Logs => format!("show the {} of {target}", logs(params)),
        Action::Events => {
            let since = params
                .since_seconds
                .map_or(String::new(), |s| format!(" of the last {}", seconds(s)));
            let of = if target.is_empty() {
                String::new()
            } else {
                format!(" for {target}")
            };
            format!("show events{since}{of}")
        }
        Action::RolloutStatus => format!("show the rollout status of {target}"),
        Action::RolloutHistory
        | Action::Diff
        | Action::Compare
        | Action::CanI
        | Action::Top
        | Action::Explain
        | Action::Find => question_pieces::phrase(intent.action, params, &target),
        Action::Scale => scale(params, &target),
        Action::Restart => format!("restart {target}"),
        Action::SetImage => {
            let container = params
                .container
                .as_ref()
                .map_or(String::new(), |c| format!("container {c} of "));
            let image = params.image.as_deref().unwrap_or_default();
            match image.strip_prefix(':') {
                Some(tag) => format!("set the image of {container}{target} to version {tag}"),
                None => format!("set the image of {container}{target} to {image}"),
            }
        }
        Action::SetResources => set_resources(params, &target),
        Action::Delete => {
            let force = if params.force == Some(true) { "force " } else { "" };
            let grace = params.grace_period_seconds.map_or(String::new(), |g| {
                format!(" with a grace period of {}", seconds(g))
            });
            format!("{force}delete {target}{grace}")
        }
        Action::Label | Action::Annotate => pairs(intent.action, params, &target),
        Action::Cordon => format!("cordon {target}"),
        Action::Uncordon => format!("uncordon {target}"),
        Action::CreateNamespace => format!("create {target}"),
        Action::RolloutUndo => {
            let to = params
                .revision
                .map_or(String::new(), |r| format!(" to revision {r}"));
            format!("roll back {target}{to}")
        }
        Action::Recreate => format!("create {target} again"),
        Action::RolloutPause => format!("pause the rollout of {target}"),
        Action::RolloutResume => format!("resume the rollout of {target}"),
        Action::Suspend => format!("suspend {target}"),
        Action::Resume => format!("unsuspend {target}"),
        Action::SetEnv => set_env(params, &target),
        Action::Autoscale => autoscale(params, &target),
        Action::Taint => format!("taint {target} with {}", and(&taints(params))),
        Action::Untaint => format!("untaint {target} {}", and(&taints(params))),
        Action::ExpandPvc => format!(
            "expand {target} to {}",
            params.size.as_deref().unwrap_or_default()
        ),
        Action::CreateDeployment
        | Action::CreateConfigMap
        | Action::CreateJob
        | Action::CreateCronJob
        | Action::CreatePdb
        | Action::CreateQuota
        | Action::CreateServiceAccount
        | Action::CreateLimitRange
        | Action::CreateNetworkPolicy
        | Action::CreateIngress
        | Action::Expose => made(intent.action, params, &target),
        Action::Apply => format!("apply the manifest of {target}"),
        Action::BindRole => bound(params, &intent.target.names),
        Action::Evict | Action::Drain => {
            let verb = intent.action.as_str();
            let force = if params.force == Some(true) {
                " with force"
            } else {
                ""
            };
            let grace = params.grace_period_seconds.map_or(String::new(), |g| {
                format!(" with a grace period of {}", seconds(g))
            });
            let wait = params
                .timeout_seconds
                .map_or(String::new(), |t| format!(" with a timeout of {}", seconds(t)));
            format!("{verb} {target}{force}{grace}{wait}")
        }
        Action::Patch => format!(
            "patch {target} with '{}'",
            params.patch.as_deref().unwrap_or_default()
        ),
    };
    let other = params
        .other_namespace
        .as_ref()
        .map_or(String::new(), |n| format!(" and {n}"));
    format!("{body}{place}{other}{dry}")
}

fn objects(target: &IntentTarget) -> String {
    let written = target.kind.as_deref().unwrap_or("");
    // A kind as the person wrote it stays in the form that says it is one.
    if let ([name], true) = (
        target.names.as_slice(),
        written.starts_with(|c: char| c.is_ascii_lowercase()),
    ) {
        return format!("{written}/{name}");
    }
    let kind = written.to_lowercase();
    let many = plural(&kind);
    let base = match target.names.as_slice() {
        [] if target.all => format!("all {}", if many.is_empty() { "objects" } else { &many }),
        [] => many,
        [name] => format!("{kind} {name}").trim_start().to_owned(),
        list => format!("{} {}", if kind.is_empty() { "" } else { &many }, and(list))
            .trim_start()
            .to_owned(),
    };
    match &target.selector {
        Some(selector) => format!("{base} labelled {selector}").trim_start().to_owned(),
        None => base,
    }
}

pub(super) fn plural(kind: &str) -> String {
    match kind {
        "" => String::new(),
        k if k.ends_with("ss") => format!("{k}es"),
        k if k.ends_with('s') => k.to_owned(),
        k if k.ends_with("cy") => format!("{}ies", k.trim_end_matches('y')),
        k => format!("{k}s"),
    }
}

fn and(list: &[String]) -> String {
    match list {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

fn place(target: &IntentTarget) -> String {
    match &target.namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None if target.all_namespaces => " in all namespaces".to_owned(),
        None => String::new(),
    }
}

/// A length of time in the largest unit that divides it.
fn seconds(n: i64) -> String {
    let (count, unit) = match n {
        n if n != 0 && n % 86_400 == 0 => (n / 86_400, "day"),
        n if n != 0 && n % 3600 == 0 => (n / 3600, "hour"),
        n if n != 0 && n % 60 == 0 => (n / 60, "minute"),
        n => (n, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn logs(params: &IntentParams) -> String {
    let previous = if params.previous == Some(true) {
        "previous logs"
    } else {
        "logs"
    };
    let tail = params
        .tail
        .map_or(String::new(), |n| format!("last {n} lines of "));
    let since = params
        .since_seconds
        .map_or(String::new(), |s| format!(" of the last {}", seconds(s)));
    let container = params
        .container
        .as_ref()
        .map_or(String::new(), |c| format!(" of container {c}"));
    format!("{tail}{previous}{since}{container}")
}

fn scale(params: &IntentParams, target: &str) -> String {
    let replicas = |n: i32| {
        if n == 1 {
            "1 replica".to_owned()
        } else {
            format!("{n} replicas")
        }
    };
    let how = match (params.replicas, params.replicas_delta, params.replicas_percent) {
        (Some(n), ..) => format!("to {}", replicas(n)),
        (_, Some(n), _) if n < 0 => format!("down by {}", n.unsigned_abs()),
        (_, Some(n), _) => format!("up by {n}"),
        (.., Some(percent)) => format!("to {percent}%"),
        (None, None, None) => String::new(),
    };
    let from = params
        .current_replicas
        .map_or(String::new(), |n| format!(" from {n}"));
    format!("scale {target}{from} {how}")
}

fn set_resources(params: &IntentParams, target: &str) -> String {
    let container = params
        .container
        .as_ref()
        .map_or(String::new(), |c| format!("container {c} of "));
    let part = |what: &str, map: &std::collections::BTreeMap<String, String>| -> Vec<String> {
        map.iter()
            .map(|(key, value)| format!("{key} {what} {value}"))
            .collect()
    };
    let mut list = part("request", &params.requests);
    list.extend(part("limit", &params.limits));
    format!("set {} on {container}{target}", and(&list))
}

fn set_env(params: &IntentParams, target: &str) -> String {
    let of = params
        .container
        .as_ref()
        .map_or(String::new(), |c| format!(" in container {c}"));
    let value = |(k, v): (&String, &String)| {
        if v.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./:@%+".contains(c))
        {
            format!("{k}={v}")
        } else {
            format!("{k}=\"{v}\"")
        }
    };
    let from = |(k, v): (&String, &String)| {
        let mut parts = v.split('/');
        let mut part = || parts.next().unwrap_or_default();
        format!("{k} from {} {} key {}", part(), part(), part())
    };
    let set: Vec<String> = params
        .set
        .iter()
        .map(value)
        .chain(params.env_refs.iter().map(from))
        .collect();
    let removed: Vec<String> = params.remove.iter().map(|k| format!("{k}-")).collect();
    if set.is_empty() {
        return format!("remove the env var {} from {target}{of}", and(&params.remove));
    }
    let all: Vec<String> = set.into_iter().chain(removed).collect();
    format!("set env {} on {target}{of}", all.join(", "))
}

fn autoscale(params: &IntentParams, target: &str) -> String {
    let bounds = match (params.min_replicas, params.max_replicas) {
        (Some(min), Some(max)) => format!(" between {min} and {max} replicas"),
        (None, Some(max)) => format!(" up to {max} replicas"),
        (Some(min), None) => format!(" with at least {min} replicas"),
        (None, None) => String::new(),
    };
    let cpu = params
        .cpu_percent
        .map_or(String::new(), |p| format!(" at {p}% cpu"));
    format!("autoscale {target}{bounds}{cpu}")
}

/// A request that makes an object.
fn made(action: Action, p: &IntentParams, target: &str) -> String {
    let mut out = if action == Action::Expose {
        format!("expose {target}")
    } else {
        format!("create {target}")
    };
    let mut add = |text: String| out.push_str(&text);
    if let Some(image) = &p.image {
        add(format!(" with image {image}"));
    }
    if let Some(n) = p.replicas {
        add(format!(
            " with {n} {}",
            if n == 1 { "replica" } else { "replicas" }
        ));
    }
    if let Some(port) = p.port {
        add(format!(" on port {port}"));
    }
    if let Some(port) = p.target_port {
        add(format!(" to target port {port}"));
    }
    if let Some(kind) = &p.service_type {
        add(format!(" as a {kind}"));
    }
    if let Some(name) = &p.new_name {
        add(format!(" as service {name}"));
    }
    if let Some(host) = &p.host {
        add(format!(" for host {host}"));
    }
    if let Some(path) = &p.path {
        add(format!(" with path {path}"));
    }
    if let Some(class) = &p.class_name {
        add(format!(" with class {class}"));
    }
    match p.deny.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {}
        ["Ingress"] => add(" denying all ingress".to_owned()),
        ["Egress"] => add(" denying all egress".to_owned()),
        _ => add(" denying all traffic".to_owned()),
    }
    if let Some(from) = &p.allow_from {
        add(format!(" allowing traffic from {from}"));
    }
    match (&p.from, action) {
        (Some(from), _) if from == "*" => add(" for all pods".to_owned()),
        (Some(from), Action::CreateJob) => add(format!(" from {}", from.replace('/', " "))),
        (Some(from), Action::CreateIngress) => add(format!(" to {}", from.replace('/', " "))),
        (Some(from), _) => add(format!(" for {}", from.replace('/', " "))),
        (None, _) => {}
    }
    if let Some(schedule) = &p.schedule {
        add(format!(" on schedule '{schedule}'"));
    }
    if !p.command.is_empty() {
        add(format!(" running '{}'", p.command.join(" ")));
    }
    if let Some(n) = &p.min_available {
        add(format!(" with min available {n}"));
    }
    if let Some(n) = &p.max_unavailable {
        add(format!(" with max unavailable {n}"));
    }
    let word = |(k, v): (&String, &String)| {
        if v.contains(' ') {
            format!("{k}=\"{v}\"")
        } else {
            format!("{k}={v}")
        }
    };
    let pairs: Vec<String> = p.set.iter().chain(&p.limits).map(word).collect();
    let range = if action == Action::CreateLimitRange {
        "limits "
    } else {
        ""
    };
    if !pairs.is_empty() {
        add(format!(" with {range}{}", and(&pairs)));
    }
    let requests: Vec<String> = p.requests.iter().map(word).collect();
    if !requests.is_empty() {
        let led = if pairs.is_empty() { "with" } else { "and" };
        add(format!(" {led} requests {}", requests.join(",")));
    }
    out
}

/// A role that is given to somebody.
fn bound(p: &IntentParams, names: &[String]) -> String {
    let role = match p.from.as_deref().and_then(|from| from.split_once('/')) {
        Some((kind, name)) => format!("{kind} {name}"),
        None => format!("role {}", p.from.as_deref().unwrap_or_default()),
    };
    let who: Vec<String> = p
        .subjects
        .iter()
        .map(|s| match s.split_once('/') {
            Some(("serviceaccount", name)) => format!("service account {name}"),
            Some((kind, name)) => format!("{kind} {name}"),
            None => s.clone(),
        })
        .collect();
    format!("bind {role} to {} called {}", and(&who), names.join(" "))
}

fn taints(params: &IntentParams) -> Vec<String> {
    let text = |t: &kubechat_crds::intent::Taint| {
        let value = t.value.as_ref().map_or(String::new(), |v| format!("={v}"));
        let effect = t.effect.map_or(String::new(), |e| format!(":{}", e.as_str()));
        // Without value and effect it reads as a key only right after the word.
        let word = if value.is_empty() && effect.is_empty() {
            "="
        } else {
            ""
        };
        format!("{}{value}{effect}{word}", t.key)
    };
    params.taints.iter().map(text).collect()
}

fn pairs(action: Action, params: &IntentParams, target: &str) -> String {
    let noun = if action == Action::Label {
        "label"
    } else {
        "annotation"
    };
    let set: Vec<String> = params
        .set
        .iter()
        .map(|(k, v)| {
            if v.contains(' ') {
                format!("{k}=\"{v}\"")
            } else {
                format!("{k}={v}")
            }
        })
        .collect();
    match (set.is_empty(), params.remove.is_empty()) {
        (false, true) => format!("{action} {target} with {}", and(&set)),
        (true, _) => format!("remove {noun} {} from {target}", and(&params.remove)),
        (false, false) => format!(
            "{action} {target} with {} and remove {noun} {}",
            and(&set),
            and(&params.remove)
        ),
    }
}
