//! The words of the grammar other than kinds: verbs and their forms, nouns, states, fillers, function words.
//!
//! Tables only, and the look-ups over them. A word that stands here in [`RESERVED`] is never a kind and never an
//! unquoted name, so that `delete it if ...` cannot name objects `it` and `if`.

use super::dictionary::FUNCTION;
pub(super) use super::dictionary::{CORRECTABLE, FILLERS, GENERIC, NEIGHBOURS, VAGUE};

/// What a verb asks for. Some words (`set`, `update`, `bring`) say it only together with what follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Show,
    List,
    Describe,
    Logs,
    Count,
    RolloutStatus,
    /// A question about a state: `is web ready`.
    Ask,
    Scale,
    ScaleUp,
    ScaleDown,
    /// Percent of the present replicas.
    Factor(i32),
    Restart,
    Delete,
    Drop,
    Kill,
    Label,
    Unlabel,
    Annotate,
    Cordon,
    Uncordon,
    Undo,
    Set,
    Update,
    Upgrade,
    Bump,
    Increase,
    Decrease,
    Give,
    Add,
    Limit,
    Reserve,
    Create,
    Bring,
    Run,
    Use,
    /// `I want 5 replicas of web`, `web needs 1Gi of memory`.
    Want,
    SetImage,
    SetResources,
    /// The verb of a form (`drain`, `expose`), which says what is meant by itself.
    Form,
}

/// How a verb stands in the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `restart`
    Base,
    /// `restarting`
    Gerund,
    /// `restarted`
    Participle,
}

/// Verbs and the phrases for them. Longer phrases win.
#[rustfmt::skip]
const VERBS: &[(Verb, &[&str])] = &[
    (Verb::Show, &[
        "show", "display", "get", "print", "view", "see", "fetch", "look at", "look up", "check", "check on",
        "check out", "ls", "pull up", "retrieve", "have a look at", "take a look at", "dump", "read", "watch",
        "tell", "give me", "give us", "find", "find out", "report", "output", "know", "pull", "grab",
        "collect", "query", "provide", "return", "share", "send me", "hand me", "print out", "look into",
        "peek at", "review", "browse", "open", "present", "verify",
    ]),
    (Verb::List, &["list", "enumerate", "list out", "list up"]),
    (Verb::Describe, &[
        "describe", "inspect", "detail", "examine", "desc", "tell me about", "tell me more about",
        "show me more about", "show more about", "give me more about", "more about", "more on",
        "everything about", "show me everything about", "tell me everything about",
        "what can you tell me about", "what do you know about", "learn more about",
    ]),
    (Verb::Logs, &["tail", "log"]),
    (Verb::Count, &["count", "tally", "count up", "how many", "how much"]),
    (Verb::RolloutStatus, &["rollout status"]),
    (Verb::Scale, &["scale", "rescale", "resize"]),
    (Verb::ScaleUp, &["scale up", "scale out", "upscale"]),
    (Verb::ScaleDown, &["scale down", "scale in", "downscale"]),
    (Verb::Factor(200), &["double"]),
    (Verb::Factor(300), &["triple"]),
    (Verb::Factor(400), &["quadruple"]),
    (Verb::Factor(50), &["halve"]),
    (Verb::Restart, &[
        "restart", "bounce", "kick", "recycle", "reboot", "cycle", "respawn", "rollout restart", "relaunch",
        "re-start",
    ]),
    (Verb::Delete, &[
        "delete", "remove", "destroy", "get rid of", "rm", "erase", "wipe", "wipe out", "nuke", "tear down",
        "purge", "trash", "throw away", "throw out", "dispose of", "del", "terminate", "blow away",
        "take away", "strip",
    ]),
    (Verb::Drop, &["drop"]),
    (Verb::Kill, &["kill", "kill off"]),
    (Verb::Label, &["label", "tag", "relabel"]),
    (Verb::Unlabel, &["unlabel", "untag", "unset"]),
    (Verb::Annotate, &["annotate"]),
    (Verb::Cordon, &[
        "cordon", "cordon off", "stop scheduling", "disable scheduling", "pause scheduling",
        "prevent scheduling", "block scheduling",
    ]),
    (Verb::Uncordon, &[
        "uncordon", "enable scheduling", "allow scheduling", "resume scheduling", "re-enable scheduling",
        "permit scheduling",
    ]),
    (Verb::Undo, &[
        "roll back", "rollback", "roll-back", "revert", "undo", "rollout undo", "go back", "restore",
        "back out", "roll",
    ]),
    (Verb::Set, &[
        "set", "make", "put", "change", "adjust", "configure", "modify", "ensure", "make sure", "mark",
        "turn", "let", "keep", "define", "specify", "assign",
    ]),
    (Verb::Update, &["update", "switch", "move", "pin", "point", "swap", "replace"]),
    (Verb::Upgrade, &["upgrade", "downgrade"]),
    (Verb::Bump, &["bump"]),
    (Verb::Increase, &[
        "increase", "raise", "grow", "boost", "bump up", "ramp up", "crank up", "dial up", "beef up",
        "expand", "spin up",
    ]),
    (Verb::Decrease, &[
        "decrease", "reduce", "lower", "shrink", "cut", "cut down", "bump down", "trim", "trim down",
        "spin down", "ramp down", "dial down", "turn down", "wind down", "dial back",
    ]),
    (Verb::Give, &["give"]),
    (Verb::Add, &["add", "attach"]),
    (Verb::Limit, &["limit", "cap", "restrict"]),
    (Verb::Reserve, &["reserve", "request", "allocate"]),
    (Verb::Create, &["create", "set up", "new", "provision"]),
    (Verb::Bring, &["bring", "take"]),
    (Verb::Run, &["run"]),
    (Verb::Use, &["use", "deploy", "roll out", "rollout", "ship", "release"]),
    (Verb::SetImage, &["set image", "set-image"]),
    (Verb::SetResources, &["set resources", "set-resources"]),
];

/// Things a sentence can be about besides objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noun {
    Logs,
    Events,
    Rollout,
    Status,
    Details,
    Replicas,
    Image,
    Version,
    Label,
    Annotation,
    Cpu,
    Memory,
    Limit,
    Request,
    Resources,
    Container,
    Revision,
    Restart,
    Scheduling,
}

#[rustfmt::skip]
const NOUNS: &[(Noun, &[&str])] = &[
    (Noun::Logs, &["logs", "log", "stdout", "stderr", "logfile", "logfiles"]),
    (Noun::Events, &["events", "event"]),
    (Noun::Rollout, &["rollout", "roll-out", "rollouts"]),
    (Noun::Status, &["status", "state", "health", "condition", "conditions", "progress", "statuses"]),
    (Noun::Details, &["details", "detail", "info", "information", "description"]),
    (Noun::Replicas, &["replicas", "replica", "instances", "instance", "copies", "copy"]),
    (Noun::Image, &["image", "images"]),
    (Noun::Version, &["version", "tag"]),
    (Noun::Label, &["label", "labels"]),
    (Noun::Annotation, &["annotation", "annotations"]),
    (Noun::Cpu, &["cpu", "cpus", "vcpu", "vcpus", "processor"]),
    (Noun::Memory, &["memory", "mem", "ram"]),
    (Noun::Limit, &["limit", "limits"]),
    (Noun::Request, &["request", "requests", "reservation", "reservations"]),
    (Noun::Resources, &["resources", "resource"]),
    (Noun::Container, &["container", "containers"]),
    (Noun::Revision, &["revision", "rev"]),
    (Noun::Restart, &["restart", "reboot", "bounce", "kick"]),
    (Noun::Scheduling, &["rotation", "scheduling"]),
];

/// Words for a state of an object, and the word of the status column they mean. `Unhealthy` is any row that is
/// neither ready nor completed, `NotRunning` any that is not Running.
const STATES: &[(&str, &str)] = &[
    ("in a crash loop", "CrashLoopBackOff"),
    ("crash looping", "CrashLoopBackOff"),
    ("crash-looping", "CrashLoopBackOff"),
    ("crashlooping", "CrashLoopBackOff"),
    ("crashloopbackoff", "CrashLoopBackOff"),
    ("in crashloopbackoff", "CrashLoopBackOff"),
    ("crashing", "CrashLoopBackOff"),
    ("image pull backoff", "ImagePullBackOff"),
    ("imagepullbackoff", "ImagePullBackOff"),
    ("in imagepullbackoff", "ImagePullBackOff"),
    ("oom killed", "OOMKilled"),
    ("oomkilled", "OOMKilled"),
    ("not ready", "NotReady"),
    ("notready", "NotReady"),
    ("unready", "NotReady"),
    ("not running", "NotRunning"),
    ("not healthy", "Unhealthy"),
    ("not ok", "Unhealthy"),
    ("not working", "Unhealthy"),
    ("having problems", "Unhealthy"),
    ("having issues", "Unhealthy"),
    ("in trouble", "Unhealthy"),
    ("unhealthy", "Unhealthy"),
    ("failing", "Unhealthy"),
    ("broken", "Unhealthy"),
    ("erroring", "Unhealthy"),
    ("misbehaving", "Unhealthy"),
    ("running", "Running"),
    ("up and running", "Running"),
    ("in pending", "Pending"),
    ("pending", "Pending"),
    ("failed", "Failed"),
    ("in error", "Error"),
    ("succeeded", "Completed"),
    ("completed", "Completed"),
    ("finished", "Completed"),
    ("evicted", "Evicted"),
    ("terminating", "Terminating"),
    ("containercreating", "ContainerCreating"),
    ("ready", "Ready"),
    ("healthy", "Ready"),
    ("cordoned", "SchedulingDisabled"),
    ("unschedulable", "SchedulingDisabled"),
    ("bound", "Bound"),
    ("unbound", "Pending"),
];

/// Whether a word belongs to the grammar, so that it is no kind and no unquoted name.
pub(super) fn is_reserved(key: &str) -> bool {
    FUNCTION.contains(&key) || GENERIC.contains(&key) || is_noun_word(key)
}

fn is_noun_word(key: &str) -> bool {
    noun(key).is_some() && !matches!(key, "event" | "events" | "bounce" | "kick" | "reboot")
}

/// The noun a word stands for.
pub(super) fn noun(key: &str) -> Option<Noun> {
    NOUNS
        .iter()
        .find(|(_, words)| words.contains(&key))
        .map(|(noun, _)| *noun)
}

/// The longest of `phrases` that begins at the first key, as its number of words.
pub(super) fn phrase_len<'k>(phrases: &[&str], keys: impl Fn(usize) -> &'k str) -> Option<usize> {
    let fits = |phrase: &&&str| phrase.split(' ').enumerate().all(|(i, w)| keys(i) == w);
    phrases.iter().filter(fits).map(|p| p.split(' ').count()).max()
}

/// The state words at the first key: status word and number of tokens.
pub(super) fn state_at<'k>(keys: impl Fn(usize) -> &'k str) -> Option<(&'static str, usize)> {
    let found = STATES
        .iter()
        .filter_map(|(phrase, state)| Some((*state, phrase_len(&[*phrase], &keys)?)));
    found.max_by_key(|(_, len)| *len)
}

/// The verb at the first key, with the number of tokens it takes.
pub(super) fn verb_at<'k>(form: Form, keys: impl Fn(usize) -> &'k str) -> Option<(Verb, usize)> {
    let mut best: Option<(Verb, usize)> = None;
    for base in bases(keys(0), form) {
        for (verb, phrases) in VERBS {
            let len = phrase_len(phrases, |i| if i == 0 { base.as_str() } else { keys(i) });
            if let Some(len) = len.filter(|len| best.is_none_or(|(_, most)| *len > most)) {
                best = Some((*verb, len));
            }
        }
    }
    best
}

const IRREGULAR: &[(&str, &str)] = &[
    ("set", "set"),
    ("put", "put"),
    ("cut", "cut"),
    ("taken", "take"),
    ("brought", "bring"),
    ("given", "give"),
    ("torn", "tear"),
    ("thrown", "throw"),
    ("run", "run"),
    ("shown", "show"),
    ("undone", "undo"),
    ("made", "make"),
];

/// The base forms a word can be an inflection of.
pub(super) fn bases(key: &str, form: Form) -> Vec<String> {
    let suffix = match form {
        Form::Base => return vec![key.to_owned()],
        Form::Gerund => "ing",
        Form::Participle => "ed",
    };
    let mut out: Vec<String> = Vec::new();
    if form == Form::Participle {
        out.extend(
            IRREGULAR
                .iter()
                .filter(|(word, _)| *word == key)
                .map(|(_, base)| (*base).to_owned()),
        );
    }
    if let Some(stem) = key.strip_suffix(suffix) {
        out.push(stem.to_owned());
        out.push(format!("{stem}e"));
        let mut chars = stem.chars().rev();
        if let (Some(a), Some(b)) = (chars.next(), chars.next())
            && a == b
        {
            out.push(stem.chars().take(stem.chars().count() - 1).collect());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(text: &str, form: Form) -> Option<(Verb, usize)> {
        let words: Vec<&str> = text.split(' ').collect();
        verb_at(form, |i| words.get(i).copied().unwrap_or(""))
    }

    #[test]
    fn finds_the_longest_verb_phrase_in_every_form() {
        assert_eq!(verb("scale up web", Form::Base), Some((Verb::ScaleUp, 2)));
        assert_eq!(verb("get rid of web", Form::Base), Some((Verb::Delete, 3)));
        assert_eq!(verb("scaling web", Form::Gerund), Some((Verb::Scale, 1)));
        assert_eq!(verb("labelling", Form::Gerund), Some((Verb::Label, 1)));
        assert_eq!(verb("rolling back web", Form::Gerund), Some((Verb::Undo, 2)));
        assert_eq!(verb("restarted", Form::Participle), Some((Verb::Restart, 1)));
        assert_eq!(verb("frobnicate", Form::Base), None);
        assert_eq!(verb("restarted", Form::Base), None);
    }

    #[test]
    fn every_correctable_word_is_a_verb() {
        for word in CORRECTABLE {
            assert!(verb(word, Form::Base).is_some(), "{word}");
        }
    }
}
