//! Whether an answer speaks of what the person spoke of. A model may misread a sentence; it may not bring in an object, a
//! namespace, an image, a label, a number or "all of them" that nobody named.
//!
//! **Invariant:** each free text of an intent stands, as a word of its own, in the prompt or among the names that the turn
//! knows (its namespace, its session, what was selected); a text of a closed set is one of that set. Each field is named
//! here: one that is added to the intent and not judged here does not compile.

use std::collections::BTreeMap;

use kubechat_crds::intent::{Intent, IntentParams, IntentTarget, Taint};

use super::numbers::Numbers;
use crate::interpret::is_right;

/// The first thing in the intents that nobody named: the field it stands in. Its value is not repeated.
#[must_use]
pub fn invented(prompt: &str, known: &[&str], intents: &[Intent]) -> Option<&'static str> {
    let spoken = Spoken {
        words: prompt.to_lowercase(),
        numbers: Numbers::of(prompt),
        known,
    };
    intents.iter().find_map(|intent| {
        spoken
            .target(&intent.target, intent.action.is_read())
            .or_else(|| spoken.params(&intent.params))
    })
}

/// What the person said, and what the turn knows.
struct Spoken<'a> {
    words: String,
    numbers: Numbers,
    known: &'a [&'a str],
}

impl Spoken<'_> {
    fn named(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.known.iter().any(|known| known.eq_ignore_ascii_case(&text)) || stands_in(&self.words, &text)
    }

    fn all_named<'t>(&self, texts: impl IntoIterator<Item = &'t String>) -> bool {
        texts.into_iter().all(|text| self.named(text))
    }

    /// Each part of a text that is made of several: `kind/name`, `configmap/NAME/KEY`.
    fn named_after(&self, text: &str, kinds: &[&str]) -> bool {
        let parts = match text.split_once('/') {
            Some((kind, rest)) if kinds.iter().any(|k| k.eq_ignore_ascii_case(kind)) => rest,
            Some(_) | None => text,
        };
        parts.split('/').all(|part| self.named(part))
    }

    fn selected(&self, selector: &str) -> bool {
        parts(selector).all(|part| self.named(part))
    }

    fn counted(&self, number: Option<i64>) -> bool {
        number.is_none_or(|number| self.numbers.counts(number))
    }

    /// Amounts of resources; of a quota also how many objects there may be.
    fn amounts(&self, map: &BTreeMap<String, String>) -> bool {
        map.values().all(|amount| self.numbers.quantity(amount))
    }

    fn says_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| stands_in(&self.words, word))
    }

    fn target(&self, target: &IntentTarget, reads: bool) -> Option<&'static str> {
        let IntentTarget {
            // Which kind is meant is the model's to understand; discovery knows it, or the person is asked.
            kind: _,
            group: _,
            names,
            selector,
            namespace,
            all_namespaces,
            all,
        } = target;
        let checks = [
            (self.all_named(names), "target.names"),
            (self.all_named(namespace), "target.namespace"),
            (selector.iter().all(|s| self.selected(s)), "target.selector"),
            (reads || !all || self.says_one_of(WHOLES), "target.all"),
            (
                reads || !all_namespaces || self.says_one_of(WHOLES),
                "target.allNamespaces",
            ),
        ];
        first_wrong(&checks)
    }

    fn params(&self, params: &IntentParams) -> Option<&'static str> {
        let IntentParams {
            replicas,
            replicas_delta,
            replicas_percent,
            current_replicas,
            image,
            container,
            requests,
            limits,
            env_refs,
            min_replicas,
            max_replicas,
            cpu_percent,
            taints,
            from,
            port,
            target_port,
            service_type,
            new_name,
            command,
            schedule,
            min_available,
            max_unavailable,
            deny,
            allow_from,
            host,
            path,
            class_name,
            subjects,
            grants,
            size,
            manifest,
            patch,
            set,
            remove,
            overwrite: _,
            revision,
            to_revision,
            text,
            other_namespace,
            verb,
            timeout_seconds,
            grace_period_seconds,
            force,
            ignore_not_found: _,
            tail: _,
            since_seconds: _,
            previous: _,
            // Which rows of a read are shown.
            state: _,
            sort: _,
            output: _,
            dry_run: _,
        } = params;
        let counts = [
            replicas,
            current_replicas,
            min_replicas,
            max_replicas,
            port,
            target_port,
        ];
        let image = image.as_deref().map(|image| image.trim_start_matches(':'));
        let one_of =
            |text: &Option<String>, all: &[&str]| text.iter().all(|text| all.contains(&text.as_str()));
        let checks = [
            (
                counts.into_iter().all(|n| self.counted(n.map(i64::from)))
                    && self.counted(*revision)
                    && self.counted(*to_revision)
                    && self.counted(replicas_delta.map(|n| i64::from(n).abs()))
                    && [replicas_percent, cpu_percent]
                        .into_iter()
                        .flatten()
                        .all(|n| self.numbers.shares(f64::from(*n))),
                "a number",
            ),
            (self.amounts(requests), "params.requests"),
            (self.amounts(limits), "params.limits"),
            (size.iter().all(|size| self.numbers.quantity(size)), "params.size"),
            (
                schedule.iter().all(|text| self.numbers.schedule(text)),
                "params.schedule",
            ),
            (
                min_available
                    .iter()
                    .chain(max_unavailable)
                    .all(|text| self.numbers.either(text)),
                "a number",
            ),
            (
                timeout_seconds.is_none_or(|n| self.numbers.seconds(n)),
                "params.timeoutSeconds",
            ),
            (image.is_none_or(|image| self.named(image)), "params.image"),
            (self.all_named(container), "params.container"),
            (
                limits.keys().all(|key| is_resource(key) || self.named(key)),
                "params.limits",
            ),
            (self.references(env_refs), "params.envRefs"),
            (taints.iter().all(|taint| self.taint(taint)), "params.taints"),
            (
                from.iter()
                    .all(|from| from == "*" || self.named_after(from, KINDS)),
                "params.from",
            ),
            (one_of(service_type, SERVICE_TYPES), "params.serviceType"),
            (self.all_named(new_name), "params.newName"),
            (self.all_named(command), "params.command"),
            (deny.iter().all(|way| WAYS.contains(&way.as_str())), "params.deny"),
            (allow_from.iter().all(|s| self.selected(s)), "params.allowFrom"),
            (self.all_named(host), "params.host"),
            (
                path.iter().all(|path| path == "/" || self.named(path)),
                "params.path",
            ),
            (self.all_named(class_name), "params.className"),
            (
                subjects.iter().all(|subject| self.named_after(subject, SUBJECTS)),
                "params.subjects",
            ),
            // What a role grants is read from the cluster.
            (grants.is_none(), "params.grants"),
            // A manifest is applied as the person pasted it, which is read without a model.
            (manifest.is_none(), "params.manifest"),
            (patch.iter().all(|patch| self.verbatim(patch)), "params.patch"),
            (self.pairs(set), "params.set"),
            (self.all_named(remove), "params.remove"),
            (self.all_named(text), "params.text"),
            (self.all_named(other_namespace), "params.otherNamespace"),
            (
                verb.iter().all(|verb| is_right(verb) || self.named(verb)),
                "params.verb",
            ),
            (*force != Some(true) || self.says_one_of(FORCE), "params.force"),
            (
                grace_period_seconds
                    .is_none_or(|n| self.numbers.seconds(n) || n == 0 && self.says_one_of(FORCE)),
                "params.gracePeriodSeconds",
            ),
        ];
        first_wrong(&checks)
    }

    fn pairs(&self, map: &BTreeMap<String, String>) -> bool {
        map.iter()
            .all(|(key, value)| self.named(key) && (value.is_empty() || self.named(value)))
    }

    fn references(&self, map: &BTreeMap<String, String>) -> bool {
        map.iter()
            .all(|(key, of)| self.named(key) && self.named_after(of, &["configmap", "secret"]))
    }

    fn taint(&self, taint: &Taint) -> bool {
        self.named(&taint.key)
            && taint
                .value
                .iter()
                .all(|value| value.is_empty() || self.named(value))
    }

    /// Whether the prompt holds these very letters, wherever it breaks its lines.
    fn verbatim(&self, text: &str) -> bool {
        let letters = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        let text = letters(&text.to_lowercase());
        !text.is_empty() && letters(&self.words).contains(&text)
    }
}

/// Words that mean all there is of something.
const WHOLES: &[&str] = &[
    "all",
    "every",
    "everything",
    "everywhere",
    "each",
    "any",
    "entire",
    "whole",
    "everyone",
    "*",
    "--all",
    "--all-namespaces",
    "-a",
];
/// Words that mean that nothing is waited for or asked.
const FORCE: &[&str] = &[
    "force",
    "forced",
    "forcibly",
    "forcefully",
    "--force",
    "anyway",
    "unowned",
    "unmanaged",
];
const SERVICE_TYPES: &[&str] = &["ClusterIP", "NodePort", "LoadBalancer"];
const WAYS: &[&str] = &["Ingress", "Egress"];
const SUBJECTS: &[&str] = &["user", "group", "serviceaccount"];
/// Kinds that something is made for or from.
const KINDS: &[&str] = &[
    "deployment",
    "statefulset",
    "daemonset",
    "replicaset",
    "cronjob",
    "job",
    "service",
    "pod",
    "role",
    "clusterrole",
];

/// Names of resources that a model knows without being told.
fn is_resource(key: &str) -> bool {
    let key = key
        .strip_prefix("requests.")
        .or_else(|| key.strip_prefix("limits."))
        .unwrap_or(key);
    matches!(
        key,
        "cpu"
            | "memory"
            | "storage"
            | "ephemeral-storage"
            | "pods"
            | "services"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "replicationcontrollers"
            | "resourcequotas"
            | "services.nodeports"
            | "services.loadbalancers"
    )
}

fn first_wrong(checks: &[(bool, &'static str)]) -> Option<&'static str> {
    checks.iter().find(|(right, _)| !right).map(|(_, field)| *field)
}

/// Keys and values of a selector.
fn parts(selector: &str) -> impl Iterator<Item = &str> {
    selector
        .split(|c: char| matches!(c, '=' | '!' | ',' | '(' | ')') || c.is_whitespace())
        .filter(|part| !part.is_empty() && !matches!(*part, "in" | "notin"))
}

/// Whether a text stands in another with nothing of a name right before or after it.
fn stands_in(all: &str, text: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    // "web" is not named by "web.prod.example.org", nor "prod" by it.
    let goes_on = |letters: &mut dyn Iterator<Item = char>| match letters.next() {
        Some('.') => letters.next().is_some_and(char::is_alphanumeric),
        Some(c) => part(c),
        None => false,
    };
    !text.is_empty()
        && all.match_indices(text).any(|(at, _)| {
            let before = all.get(..at).unwrap_or_default();
            let after = all.get(at + text.len()..).unwrap_or_default();
            !goes_on(&mut before.chars().rev()) && !goes_on(&mut after.chars())
        })
}

#[cfg(test)]
#[path = "grounded_tests.rs"]
mod tests;
