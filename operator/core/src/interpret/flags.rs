//! Flags of kubectl that have a meaning here, in pasted lines and in sentences (`list pods -n prod`).
//! Every other flag is refused by name.

use kubechat_crds::intent::{Action, Output};

use super::words;
use super::{Ask, names};

/// One modelled flag with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Namespace(String),
    AllNamespaces,
    Selector(String),
    All,
    Replicas(i64),
    CurrentReplicas(i64),
    Requests(String),
    Limits(String),
    ToRevision(i64),
    Force,
    GracePeriod(i64),
    Tail(i64),
    Since(i64),
    Previous,
    Container(String),
    Overwrite(bool),
    DryRun(bool),
    Output(Output),
    IgnoreNotFound(bool),
    Image(String),
    /// A flag of one form only, with its value.
    Named(&'static str, String),
}

/// Flags that only the form of some action has.
const NAMED: &[(&str, &[Action])] = &[
    ("--min", &[Action::Autoscale]),
    ("--max", &[Action::Autoscale]),
    ("--cpu-percent", &[Action::Autoscale]),
    ("--cpu", &[Action::Autoscale]),
    ("--type", &[Action::Patch, Action::Expose]),
    ("--patch", &[Action::Patch]),
    (
        "--image",
        &[Action::CreateDeployment, Action::CreateJob, Action::CreateCronJob],
    ),
    ("--port", &[Action::CreateDeployment, Action::Expose]),
    ("--target-port", &[Action::Expose]),
    ("--name", &[Action::Expose]),
    ("--from", &[Action::CreateJob]),
    ("--schedule", &[Action::CreateCronJob]),
    ("--rule", &[Action::CreateIngress]),
    ("--class", &[Action::CreateIngress]),
    ("--role", &[Action::BindRole]),
    ("--clusterrole", &[Action::BindRole]),
    ("--user", &[Action::BindRole]),
    ("--group", &[Action::BindRole]),
    ("--serviceaccount", &[Action::BindRole]),
    ("--from-literal", &[Action::CreateConfigMap]),
    ("--hard", &[Action::CreateQuota]),
    ("--min-available", &[Action::CreatePdb]),
    ("--max-unavailable", &[Action::CreatePdb]),
    ("--timeout", &[Action::Drain]),
    ("--revision", &[Action::RolloutHistory]),
    ("--sort-by", &[Action::Top]),
    ("--ignore-daemonsets", &[Action::Drain]),
    ("--delete-emptydir-data", &[Action::Drain]),
];

/// Flags that a line may give several times.
pub(super) const REPEATED: &[&str] = &["--from-literal", "--user", "--group", "--serviceaccount"];

/// Whether an action has a flag of its form.
pub(super) fn is_of(name: &str, action: Action) -> bool {
    NAMED
        .iter()
        .any(|(n, actions)| *n == name && actions.contains(&action))
}

/// Flags that take no value, or only one after `=`.
const SWITCHES: &[&str] = &[
    "-A",
    "--all-namespaces",
    "--all",
    "--force",
    "-p",
    "--previous",
    "--overwrite",
    "--dry-run",
    "--ignore-not-found",
];

const VALUED: &[&str] = &[
    "-n",
    "--namespace",
    "-l",
    "--selector",
    "--replicas",
    "--current-replicas",
    "--requests",
    "--limits",
    "--to-revision",
    "--grace-period",
    "--tail",
    "--since",
    "-c",
    "--container",
    "-o",
    "--output",
    "--image",
];

/// Whether a word has the form of a flag.
pub(super) fn is_flag(word: &str) -> bool {
    word.strip_prefix("--")
        .or_else(|| word.strip_prefix('-'))
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Reads the flag `word`; `next` is the word after it. Returns the flag and whether `next` was its value.
pub(super) fn read(word: &str, next: Option<&str>) -> Result<(Flag, bool), Ask> {
    let (name, joined) = split(word);
    let refused = || {
        let text = names::shown(name);
        Ask::new(format!(
            "The flag {text} is not modelled here, so nothing was done; say the request without it"
        ))
    };
    if SWITCHES.contains(&name) {
        return Ok((switch(name, joined).ok_or_else(refused)?, false));
    }
    // Switches of a drain: pods of DaemonSets always stay, and what is in an emptyDir is always named.
    if let Some(name) = ["--ignore-daemonsets", "--delete-emptydir-data"]
        .into_iter()
        .find(|s| *s == name)
    {
        truth(joined).filter(|on| *on).ok_or_else(refused)?;
        return Ok((Flag::Named(name, "true".to_owned()), false));
    }
    // `--image` and `--replicas` have a meaning of their own already.
    let named = NAMED
        .iter()
        .find(|(n, _)| *n == name && !VALUED.contains(n))
        .map(|(n, _)| *n);
    if !VALUED.contains(&name) && named.is_none() {
        return Err(refused());
    }
    let value = joined
        .or(next)
        .filter(|v| !v.is_empty() && (joined.is_some() || !is_flag(v)));
    let Some(value) = value else {
        return Err(Ask::new(format!("The flag {name} needs a value")));
    };
    let wrong = || {
        Ask::new(format!(
            "{} is not a value that {name} takes",
            names::shown(value)
        ))
    };
    let flag = match named {
        Some(name) => Flag::Named(name, value.to_owned()),
        None => valued(name, value).ok_or_else(wrong)?,
    };
    Ok((flag, joined.is_none()))
}

/// `--flag=value`, `-nprod`.
fn split(word: &str) -> (&str, Option<&str>) {
    if let Some((name, value)) = word.split_once('=') {
        return (name, Some(value));
    }
    let glued = ["-n", "-l", "-o", "-c"]
        .into_iter()
        .find(|f| word.starts_with(f) && word.len() > f.len());
    match glued.and_then(|f| word.split_at_checked(f.len())) {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    }
}

fn truth(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => None,
    }
}

fn switch(name: &str, value: Option<&str>) -> Option<Flag> {
    match (name, value) {
        ("--dry-run", None | Some("client" | "server" | "true")) => Some(Flag::DryRun(true)),
        ("--dry-run", Some("none" | "false")) => Some(Flag::DryRun(false)),
        ("--overwrite", value) => Some(Flag::Overwrite(truth(value)?)),
        ("--ignore-not-found", value) => Some(Flag::IgnoreNotFound(truth(value)?)),
        ("-A" | "--all-namespaces", value) if truth(value)? => Some(Flag::AllNamespaces),
        ("--all", value) if truth(value)? => Some(Flag::All),
        ("--force", value) if truth(value)? => Some(Flag::Force),
        ("-p" | "--previous", value) if truth(value)? => Some(Flag::Previous),
        _ => None,
    }
}

fn whole(value: &str, max: i64) -> Option<i64> {
    value.parse().ok().filter(|n| (0..=max).contains(n))
}

fn valued(name: &str, value: &str) -> Option<Flag> {
    let text = value.to_owned();
    match name {
        "-n" | "--namespace" => names::is_label(value).then_some(Flag::Namespace(text)),
        "-l" | "--selector" => Some(Flag::Selector(text)),
        "--replicas" => Some(Flag::Replicas(whole(value, 1_000_000)?)),
        "--current-replicas" => Some(Flag::CurrentReplicas(whole(value, 1_000_000)?)),
        "--requests" => Some(Flag::Requests(text)),
        "--limits" => Some(Flag::Limits(text)),
        "--to-revision" => Some(Flag::ToRevision(whole(value, i64::from(i32::MAX))?)),
        "--grace-period" => Some(Flag::GracePeriod(whole(value, 86_400)?)),
        "--tail" => Some(Flag::Tail(whole(value, 10_000).filter(|n| *n > 0)?)),
        "--since" => Some(Flag::Since(words::compact_duration(value)?)),
        "-c" | "--container" => names::is_label(value).then_some(Flag::Container(text)),
        "-o" | "--output" => output(value).map(Flag::Output),
        "--image" => names::is_image(value).then_some(Flag::Image(text)),
        _ => None,
    }
}

/// An output form by its name.
pub(super) fn output(name: &str) -> Option<Output> {
    match name {
        "table" => Some(Output::Table),
        "wide" => Some(Output::Wide),
        "yaml" => Some(Output::Yaml),
        "json" => Some(Output::Json),
        "name" => Some(Output::Name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_modelled_flags() {
        let cases = [
            ("-n", Some("web"), Flag::Namespace("web".into()), true),
            ("-nweb", None, Flag::Namespace("web".into()), false),
            ("--namespace=web", None, Flag::Namespace("web".into()), false),
            ("--replicas=5", None, Flag::Replicas(5), false),
            ("--since", Some("1h"), Flag::Since(3600), true),
            ("--dry-run=server", None, Flag::DryRun(true), false),
            ("-A", Some("x"), Flag::AllNamespaces, false),
            ("-owide", None, Flag::Output(Output::Wide), false),
        ];
        for (word, next, flag, used) in cases {
            assert_eq!(read(word, next).expect(word), (flag, used), "{word}");
        }
    }

    #[test]
    fn refuses_other_flags_by_name_and_bad_values() {
        for (word, next) in [
            ("--as=admin", None),
            ("--kubeconfig", Some("x")),
            ("-f", Some("x.yaml")),
            ("--replicas=-1", None),
            ("--replicas", None),
            ("-n", Some("--force")),
            ("-n", Some("Prod")),
            ("--tail=-1", None),
            ("-o", Some("go-template")),
        ] {
            let ask = read(word, next).expect_err(word);
            assert!(
                ask.message.contains(word.split('=').next().expect("a word")),
                "{}",
                ask.message
            );
        }
    }
}
