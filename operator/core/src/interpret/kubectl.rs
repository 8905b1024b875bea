//! Pasted kubectl command lines as intents. Nothing is run: a line is split as a shell would, without anything a
//! shell would do, and every flag has a meaning here or is refused by name.

use kubechat_crds::intent::{Action, IntentTarget};

use super::flags::{self, Flag};
use super::kubectl_flags::{one, pair, question};
use super::lexicon::Lexicon;
use super::tables::{LEAD, SUBCOMMANDS};
use super::{Ask, Draft, changes, form_pieces, forms, guard, lookups, names};

/// The part of a line that is a kubectl command, from its first argument on.
pub(super) fn arguments(line: &str) -> Option<&str> {
    let mut rest = line.trim();
    for quote in ['`', '"', '\''] {
        rest = rest
            .strip_prefix(quote)
            .and_then(|r| r.strip_suffix(quote))
            .unwrap_or(rest)
            .trim();
    }
    loop {
        let rest_now = rest.trim_start_matches([' ', '`', '"', '\'']);
        let word = rest_now.split([' ', '`']).next().unwrap_or_default();
        let after = rest_now.get(word.len()..).unwrap_or_default();
        let closed = after
            .trim_end()
            .trim_end_matches(['.', '?', '!'])
            .trim_end_matches('`');
        match word {
            "kubectl" => return Some(closed),
            "k" if SUBCOMMANDS.contains(&closed.split_whitespace().next().unwrap_or_default()) => {
                return Some(closed);
            }
            "" => return None,
            lead if LEAD.contains(&lead.to_lowercase().as_str()) => rest = after,
            _ => return None,
        }
    }
}

/// Splits as a POSIX shell splits words; anything a shell would act on is refused. `;` ends a command.
fn shell_words(text: &str) -> Result<Vec<Vec<String>>, Ask> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('"'), '$' | '`' | '\\') => return Err(shell_sign(c)),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | '&' | '`' | '$' | '(' | ')' | '*' | '\\' | '{' | '}' | '~') => {
                return Err(shell_sign(c));
            }
            (None, ';' | ' ') => {
                if let (Some(done), Some(command)) = (word.take(), commands.last_mut()) {
                    command.push(done);
                }
                if c == ';' {
                    commands.push(Vec::new());
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Ask::new("A quote in the kubectl line is not closed"));
    }
    if let (Some(done), Some(command)) = (word, commands.last_mut()) {
        command.push(done);
    }
    commands.retain(|c| !c.is_empty());
    Ok(commands)
}

fn shell_sign(c: char) -> Ask {
    Ask::new(format!(
        "The kubectl line holds '{c}': pipes, redirects, variables and other work of a shell are not done. Paste the plain command"
    ))
}

/// One command: its words and its flags as written.
#[derive(Default)]
pub(super) struct Command {
    pub(super) words: Vec<String>,
    pub(super) flags: Vec<(String, Flag)>,
    /// What stands after `--`: a container's command.
    pub(super) after: Vec<String>,
}

/// The intents of the arguments of one pasted line.
pub(super) fn read(text: &str, lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let mut out = Vec::new();
    let commands = shell_words(text)?;
    if commands.is_empty() {
        return Err(Ask::new("The kubectl line holds no command"));
    }
    for (at, mut words) in commands.into_iter().enumerate() {
        if at > 0 {
            let again = matches!(words.first().map(String::as_str), Some("kubectl" | "k"));
            if !again {
                return Err(Ask::new("After ';' another kubectl command is expected"));
            }
            words.remove(0);
        }
        out.extend(command(&words, lexicon)?);
    }
    Ok(out)
}

fn command(args: &[String], lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let first = args.iter().find(|a| !a.starts_with('-'));
    if let Some(ask) = first.and_then(|word| guard::unsupported_word(word)) {
        return Err(ask);
    }
    let mut parsed = Command::default();
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        at += 1;
        if arg == "--" {
            let runs = matches!(
                parsed.words.as_slice(),
                [create, kind, ..] if create == "create" && matches!(kind.as_str(), "deployment" | "deploy" | "job" | "cronjob" | "cj")
            );
            parsed.after = args.get(at..).unwrap_or_default().to_vec();
            if runs && !parsed.after.is_empty() {
                break;
            }
            return Err(Ask::new("'--' is not modelled here; nothing was done"));
        }
        if !arg.starts_with('-') || arg == "-" {
            parsed.words.push(arg.clone());
            continue;
        }
        // `-p` is the previous run of a container, and the patch of a patch.
        let patch = first.map(String::as_str) == Some("patch");
        let patch = match arg.strip_prefix("-p").filter(|_| patch) {
            Some("") => Some("--patch".to_owned()),
            Some(rest) => rest.strip_prefix('=').map(|text| format!("--patch={text}")),
            None => None,
        };
        let arg = patch.as_deref().unwrap_or(arg.as_str());
        let (flag, used) = flags::read(arg, args.get(at).map(String::as_str))?;
        at += usize::from(used);
        let name = arg.split('=').next().unwrap_or(arg).to_owned();
        let same = |f: &Flag| match (f, &flag) {
            (Flag::Named(a, _), Flag::Named(b, _)) => a == b && !flags::REPEATED.contains(a),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        if parsed.flags.iter().any(|(_, f)| same(f)) {
            return Err(Ask::new(format!(
                "The flag {} is given twice",
                names::shown(&name)
            )));
        }
        parsed.flags.push((name, flag));
    }
    guard::only_arguments(&parsed.words).and_then(|()| dispatch(&parsed, lexicon))
}

fn dispatch(command: &Command, lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["get", "events" | "event" | "ev"] | ["events"] => {
            one(command, Action::Events, vec![IntentTarget::default()])
        }
        ["get", rest @ ..] => {
            let targets = resources(rest, lexicon)?;
            let named = targets.iter().all(|t| !t.names.is_empty());
            one(command, if named { Action::Get } else { Action::List }, targets)
        }
        ["describe", rest @ ..] => one(command, Action::Describe, resources(rest, lexicon)?),
        ["logs", rest @ ..] => logs(command, rest, lexicon),
        ["scale", rest @ ..] => one(command, Action::Scale, resources(rest, lexicon)?),
        ["rollout", "restart", rest @ ..] => one(command, Action::Restart, resources(rest, lexicon)?),
        ["rollout", "status", rest @ ..] => one(command, Action::RolloutStatus, resources(rest, lexicon)?),
        ["rollout", "history", rest @ ..] => {
            question(command, Action::RolloutHistory, resources(rest, lexicon)?)
        }
        ["explain", word] => lookups::explain_line(command, word, lexicon),
        ["top", rest @ ..] => question(command, Action::Top, resources(rest, lexicon)?),
        ["auth", "can-i", verb, rest @ ..] => {
            let mut drafts = question(command, Action::CanI, resources(rest, lexicon)?)?;
            for draft in &mut drafts {
                draft.params.verb = Some((*verb).to_owned()).filter(|v| names::is_label(v));
                form_pieces::complete(Action::CanI, &draft.params)?;
            }
            Ok(drafts)
        }
        ["rollout", "undo", rest @ ..] => one(command, Action::RolloutUndo, resources(rest, lexicon)?),
        ["rollout", "pause", rest @ ..] => form(command, Action::RolloutPause, resources(rest, lexicon)?),
        ["rollout", "resume", rest @ ..] => form(command, Action::RolloutResume, resources(rest, lexicon)?),
        ["set", "env", rest @ ..] => set_env(command, rest, lexicon),
        ["autoscale", rest @ ..] => form(command, Action::Autoscale, resources(rest, lexicon)?),
        ["taint", rest @ ..] => taint(command, rest, lexicon),
        ["drain", rest @ ..] => {
            let names = rest
                .iter()
                .map(|n| n.strip_prefix("node/").unwrap_or(n).to_owned());
            let target = IntentTarget {
                kind: Some("Node".to_owned()),
                names: names.collect(),
                ..IntentTarget::default()
            };
            form(command, Action::Drain, vec![target])
        }
        ["patch", rest @ ..] => form(command, Action::Patch, resources(rest, lexicon)?),
        ["set", "image", rest @ ..] => set_image(command, rest, lexicon),
        ["set", "resources", rest @ ..] => one(command, Action::SetResources, resources(rest, lexicon)?),
        ["delete", rest @ ..] => one(command, Action::Delete, resources(rest, lexicon)?),
        ["label", rest @ ..] => pairs(command, Action::Label, rest, lexicon),
        ["annotate", rest @ ..] => pairs(command, Action::Annotate, rest, lexicon),
        [verb @ ("cordon" | "uncordon"), rest @ ..] => {
            let names = rest
                .iter()
                .map(|n| n.strip_prefix("node/").unwrap_or(n).to_owned())
                .collect();
            let target = IntentTarget {
                kind: Some("Node".to_owned()),
                names,
                ..IntentTarget::default()
            };
            one(
                command,
                if *verb == "cordon" {
                    Action::Cordon
                } else {
                    Action::Uncordon
                },
                vec![target],
            )
        }
        ["create", kind, name, rest @ ..] if created(kind).is_some() => create(command, kind, name, rest),
        ["expose", rest @ ..] => form(command, Action::Expose, resources(rest, lexicon)?),
        ["create", "namespace" | "ns", name] => {
            let target = IntentTarget {
                kind: Some("Namespace".to_owned()),
                names: vec![(*name).to_owned()],
                ..IntentTarget::default()
            };
            one(command, Action::CreateNamespace, vec![target])
        }
        ["rollout" | "set" | "create", second, ..] => Err(guard::not_in_this_version(
            &format!("kubectl {} {}", words.first().unwrap_or(&""), plain(second)),
            &["scale NAME to 3"],
        )),
        [first, ..] => Err(guard::not_in_this_version(
            &format!("kubectl {}", plain(first)),
            &["list pods", "describe NAME"],
        )),
        [] => Err(Ask::new("The kubectl line holds no command")),
    }
}

fn plain(word: &str) -> String {
    names::shown(word).trim_matches('\'').to_owned()
}

/// `deploy/web svc/api`, `pods web-1 web-2`, `pods,services`.
fn resources(words: &[&str], lexicon: &Lexicon) -> Result<Vec<IntentTarget>, Ask> {
    let Some(first) = words.first() else {
        return Err(Ask::new("The kubectl line names no resource"));
    };
    let mut out: Vec<IntentTarget> = Vec::new();
    if first.contains('/') {
        for word in words {
            let (kind, name) = word
                .split_once('/')
                .filter(|(k, n)| !k.is_empty() && !n.is_empty())
                .ok_or_else(|| {
                    Ask::new(format!(
                        "{} is not of the form kind/name like the words before it",
                        names::shown(word)
                    ))
                })?;
            let target = of_kind(kind, lexicon)?;
            match out
                .iter_mut()
                .find(|t| t.kind == target.kind && t.group == target.group)
            {
                Some(known) => known.names.push(name.to_owned()),
                None => out.push(IntentTarget {
                    names: vec![name.to_owned()],
                    ..target
                }),
            }
        }
        return Ok(out);
    }
    let rest: Vec<String> = words.iter().skip(1).map(|w| (*w).to_owned()).collect();
    for kind in first.split(',') {
        out.push(IntentTarget {
            names: rest.clone(),
            ..of_kind(kind, lexicon)?
        });
    }
    Ok(out)
}

fn of_kind(word: &str, lexicon: &Lexicon) -> Result<IntentTarget, Ask> {
    if word == "all" {
        return Err(Ask::with(
            "'all' is no kind; say which kinds",
            vec!["list pods".to_owned(), "list deployments".to_owned()],
        ));
    }
    if let Some(info) = lexicon.exact(word) {
        let group = Some(info.group.clone()).filter(|g| !g.is_empty());
        return Ok(IntentTarget {
            kind: Some(info.kind.clone()),
            group,
            ..IntentTarget::default()
        });
    }
    if !names::is_subdomain(&word.to_lowercase()) {
        return Err(Ask::new(format!(
            "{} is not a kind of resource",
            names::shown(word)
        )));
    }
    Ok(IntentTarget {
        kind: Some(word.to_owned()),
        ..IntentTarget::default()
    })
}

fn logs(command: &Command, words: &[&str], lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let (target, container) = match words {
        [] => (of_kind("pods", lexicon)?, None),
        [name] if name.contains('/') => (resources(words, lexicon)?.remove(0), None),
        [name, rest @ ..] if rest.len() < 2 => {
            let target = match name.contains('/') {
                true => resources(&[name], lexicon)?.remove(0),
                false => IntentTarget {
                    names: vec![(*name).to_owned()],
                    ..of_kind("pods", lexicon)?
                },
            };
            (target, rest.first().map(|c| (*c).to_owned()))
        }
        _ => return Err(Ask::new("kubectl logs takes one pod and one container")),
    };
    let mut drafts = one(command, Action::Logs, vec![target])?;
    if let (Some(draft), Some(container)) = (drafts.first_mut(), container) {
        draft.params.container = Some(container);
    }
    Ok(drafts)
}

fn set_image(command: &Command, words: &[&str], lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let (images, objects): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| w.contains('='));
    if images.is_empty() {
        return Err(Ask::new("kubectl set image needs CONTAINER=IMAGE"));
    }
    let mut out = Vec::new();
    for pair in images {
        let (container, image) = pair.split_once('=').unwrap_or_default();
        if !names::is_label(container) || !names::is_image(image) {
            return Err(Ask::new(format!("{} is not CONTAINER=IMAGE", names::shown(pair))));
        }
        for mut draft in one(command, Action::SetImage, resources(&objects, lexicon)?)? {
            draft.params.image = Some(image.to_owned());
            draft.params.container = Some(container.to_owned());
            out.push(draft);
        }
    }
    Ok(out)
}

/// What `kubectl create KIND` makes.
fn created(kind: &str) -> Option<Action> {
    match kind {
        "deployment" | "deploy" => Some(Action::CreateDeployment),
        "configmap" | "cm" => Some(Action::CreateConfigMap),
        "job" => Some(Action::CreateJob),
        "cronjob" | "cj" => Some(Action::CreateCronJob),
        "poddisruptionbudget" | "pdb" => Some(Action::CreatePdb),
        "quota" | "resourcequota" => Some(Action::CreateQuota),
        "serviceaccount" | "sa" => Some(Action::CreateServiceAccount),
        "ingress" | "ing" => Some(Action::CreateIngress),
        "rolebinding" => Some(Action::BindRole),
        _ => None,
    }
}

fn create(command: &Command, kind: &str, name: &str, rest: &[&str]) -> Result<Vec<Draft>, Ask> {
    let Some(action) = created(kind).filter(|_| rest.is_empty()) else {
        return Err(Ask::new(format!("kubectl create {} takes one name", plain(kind))));
    };
    let target = IntentTarget {
        names: vec![name.to_owned()],
        ..IntentTarget::default()
    };
    let mut drafts = form(command, action, vec![target])?;
    for draft in &mut drafts {
        draft.params.command.clone_from(&command.after);
    }
    Ok(drafts)
}

/// Words as a shell splits them; nothing a shell would act on is taken.
pub(super) fn words(text: &str) -> Result<Vec<String>, Ask> {
    let mut all = shell_words(text)?;
    match all.len() {
        1 => Ok(all.remove(0)),
        _ => Err(Ask::new("A container runs one command, without ';'")),
    }
}

/// A command whose form says what it needs.
fn form(command: &Command, action: Action, targets: Vec<IntentTarget>) -> Result<Vec<Draft>, Ask> {
    let mut drafts = one(command, action, targets)?;
    for draft in &mut drafts {
        form_pieces::complete(action, &draft.params)?;
        draft.target = forms::fitting(action, std::mem::take(&mut draft.target))?;
    }
    Ok(drafts)
}

fn set_env(command: &Command, words: &[&str], lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let is_pair = |w: &&&str| w.contains('=') || (w.len() > 1 && w.ends_with('-'));
    let (pairs, objects): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| is_pair(w));
    if pairs.is_empty() {
        return Err(Ask::new("kubectl set env needs NAME=VALUE or NAME-"));
    }
    let mut drafts = one(command, Action::SetEnv, resources(&objects, lexicon)?)?;
    for draft in &mut drafts {
        for text in &pairs {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text.trim_end_matches('-'), None),
            };
            if !form_pieces::is_variable(name) {
                return Err(Ask::new(format!(
                    "{} is no name of a variable",
                    names::shown(name)
                )));
            }
            pair(&mut draft.params, name, value)?;
        }
        draft.target = forms::fitting(Action::SetEnv, std::mem::take(&mut draft.target))?;
    }
    Ok(drafts)
}

/// `nodes n1 key=value:NoSchedule`, `node n1 key-`.
fn taint(command: &Command, words: &[&str], lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let is_taint = |w: &&&str| w.contains([':', '=']) || (w.len() > 1 && w.ends_with('-'));
    let (texts, objects): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| is_taint(w));
    let (off, on): (Vec<&str>, Vec<&str>) = texts.iter().partition(|t| t.ends_with('-'));
    let (action, list) = match (on.is_empty(), off.is_empty()) {
        (false, true) => (Action::Taint, on),
        (true, false) => (Action::Untaint, off),
        (true, true) => return Err(Ask::new("kubectl taint needs KEY=VALUE:EFFECT or KEY-")),
        (false, false) => {
            return Err(Ask::new(
                "The kubectl line puts taints on and takes others off; say one after the other",
            ));
        }
    };
    let taints = list
        .iter()
        .map(|t| form_pieces::parse_taint(t.trim_end_matches('-')))
        .collect::<Result<Vec<_>, _>>()?;
    let mut drafts = one(command, action, resources(&objects, lexicon)?)?;
    for draft in &mut drafts {
        draft.params.taints.clone_from(&taints);
        if action == Action::Taint {
            draft.params.overwrite.get_or_insert(false);
        }
        form_pieces::complete(action, &draft.params)?;
        draft.target = forms::fitting(action, std::mem::take(&mut draft.target))?;
    }
    Ok(drafts)
}

fn pairs(command: &Command, action: Action, words: &[&str], lexicon: &Lexicon) -> Result<Vec<Draft>, Ask> {
    let is_pair = |w: &&&str| w.contains('=') || (w.len() > 1 && w.ends_with('-'));
    let (pairs, objects): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| is_pair(w));
    if pairs.is_empty() {
        return Err(Ask::new(format!("kubectl {action} needs KEY=VALUE or KEY-")));
    }
    let mut drafts = one(command, action, resources(&objects, lexicon)?)?;
    for draft in &mut drafts {
        for text in &pairs {
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (text.trim_end_matches('-'), None),
            };
            changes::check_pair(key, value.unwrap_or_default(), action)?;
            pair(&mut draft.params, key, value)?;
        }
        draft.params.overwrite.get_or_insert(false);
    }
    Ok(drafts)
}
