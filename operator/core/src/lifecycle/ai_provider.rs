//! AIProvider: the built-in rules are ready always; who asks a model is ready while a probe went well.

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::ai_provider::{Disclosure, ProviderType};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{AIProvider, AIProviderSpec, AIProviderStatus};

use crate::reason;

/// Time between two probes of a provider that is ready.
const PROBED_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Time between two probes of one that is not; doubles while it goes on failing its probes.
const TRIED_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// Longest time between two probes of one that is not.
const TRIED_AT_LEAST: SignedDuration = SignedDuration::from_mins(2);

/// What a provider of the built-in rules says of itself; `None` for one that asks a model, which a probe must show.
#[must_use]
pub const fn built_in(spec: &AIProviderSpec) -> Option<&'static str> {
    match spec.type_ {
        ProviderType::Rules => Some("the built-in rules interpreter works offline"),
        ProviderType::Ollama
        | ProviderType::OpenAICompatible
        | ProviderType::Anthropic
        | ProviderType::Gemini => None,
    }
}

/// When a provider is probed next; a changed spec at once.
#[must_use]
pub fn probe_at(status: &AIProviderStatus, generation: Option<i64>, now: Timestamp) -> Timestamp {
    let Some(probe) = status
        .probe
        .as_ref()
        .filter(|_| status.observed_generation == generation)
    else {
        return now;
    };
    let every = if is_ready(status) {
        PROBED_EVERY
    } else {
        tried_every(status, probe.time.0)
    };
    // A time that is not reached yet after the longest pause was written by another clock.
    let next = probe.time.0.saturating_add(every).unwrap_or(now);
    next.min(now.saturating_add(PROBED_EVERY).unwrap_or(now))
}

/// A probe that was sent is two entries of the log: those that fail are made less often the longer it has been so.
fn tried_every(status: &AIProviderStatus, last: Timestamp) -> SignedDuration {
    let failed = find(&status.conditions, types::READY).filter(|ready| ready.reason == reason::PROBE_FAILED);
    failed.map_or(TRIED_EVERY, |since| {
        last.duration_since(since.last_transition_time.0)
            .clamp(TRIED_EVERY, TRIED_AT_LEAST)
    })
}

fn is_ready(status: &AIProviderStatus) -> bool {
    find(&status.conditions, types::READY).is_some_and(|ready| ready.status == "True")
}

/// Why turns are not given to a provider now, if they are not.
#[must_use]
pub fn not_ready(provider: &AIProvider) -> Option<String> {
    let status = provider.status.clone().unwrap_or_default();
    if status.observed_generation != provider.metadata.generation {
        return Some("it was not probed since its spec changed".to_owned());
    }
    if is_ready(&status) {
        return None;
    }
    let why = find(&status.conditions, types::READY);
    Some(why.map_or_else(
        || "it was not probed yet".to_owned(),
        |ready| format!("it is not Ready ({}: {})", ready.reason, ready.message),
    ))
}

/// What a provider asks for that this version cannot give; nothing is sent to it.
#[must_use]
pub const fn unsupported(spec: &AIProviderSpec) -> Option<&'static str> {
    match spec.disclosure {
        Disclosure::PromptOnly => None,
        Disclosure::Findings => Some(
            "disclosure: Findings is not supported in this version, so nothing is sent to it. Use PromptOnly",
        ),
    }
}

/// Why a turn that waited for its turn at a provider does not ask it any more: what became of the provider meanwhile.
#[must_use]
pub fn meanwhile(then: &AIProvider, now: Option<&AIProvider>, namespace: &str) -> Option<String> {
    let Some(now) = now.filter(|now| now.metadata.uid == then.metadata.uid) else {
        return Some("it was deleted".to_owned());
    };
    if !serves(&now.spec, namespace) {
        return Some(format!("it does not serve namespace {namespace} any more"));
    }
    not_ready(now)
}

/// Whether turns of this namespace may use the provider.
#[must_use]
pub fn serves(spec: &AIProviderSpec, namespace: &str) -> bool {
    spec.allowed_namespaces.is_empty() || spec.allowed_namespaces.iter().any(|n| n == namespace)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kubechat_crds::ai_provider::ProbeStatus;

    use super::*;
    use crate::lifecycle::ready;

    fn probed(seconds: i64, verdict: Result<&str, (&str, String)>) -> AIProvider {
        let mut status = AIProviderStatus {
            observed_generation: Some(1),
            probe: Some(ProbeStatus {
                time: Time(Timestamp::from_second(seconds).unwrap()),
                score: 100,
                tokens_per_second: None,
                p50_ms: None,
                p95_ms: None,
            }),
            ..AIProviderStatus::default()
        };
        ready(&mut status.conditions, verdict, Some(1), Timestamp::UNIX_EPOCH);
        let mut provider = AIProvider::new("p", AIProviderSpec::default());
        provider.metadata.generation = Some(1);
        provider.status = Some(status);
        provider
    }

    #[test]
    fn turns_go_only_to_a_provider_that_was_probed_well_with_this_spec() {
        let good = probed(0, Ok("m"));
        assert_eq!(not_ready(&good), None);
        let mut changed = good.clone();
        changed.metadata.generation = Some(2);
        assert!(not_ready(&changed).unwrap().contains("spec changed"));
        let bad = probed(0, Err((reason::PROBE_FAILED, "no answer".to_owned())));
        assert!(not_ready(&bad).unwrap().contains("ProbeFailed: no answer"));
        let mut new = AIProvider::new("p", AIProviderSpec::default());
        new.metadata.generation = Some(1);
        assert!(not_ready(&new).is_some());
    }

    #[test]
    fn a_provider_is_probed_at_once_when_changed_soon_when_bad_and_later_when_good() {
        let now = Timestamp::from_second(1000).unwrap();
        let at = |provider: &AIProvider, generation| {
            probe_at(provider.status.as_ref().unwrap(), generation, now).as_second()
        };
        let bad = probed(1000, Err((reason::UNREACHABLE, String::new())));
        assert_eq!(at(&probed(1000, Ok("m")), Some(1)), 1600);
        assert_eq!(at(&bad, Some(1)), 1030);
        assert_eq!(at(&bad, Some(2)), 1000);
        assert_eq!(
            at(&probed(9_000_000, Ok("m")), Some(1)),
            1600,
            "a clock that was wrong holds nothing up"
        );
        assert_eq!(probe_at(&AIProviderStatus::default(), None, now), now);
    }

    #[test]
    fn a_probe_that_goes_on_failing_is_made_less_often_and_what_sends_nothing_is_not() {
        let now = Timestamp::from_second(100_000).unwrap();
        let next = |why: &str, probed_at: i64| {
            let provider = probed(probed_at, Err((why, String::new())));
            probe_at(provider.status.as_ref().unwrap(), Some(1), now).as_second() - probed_at
        };
        // `probed` notes the change at second 0.
        for (at, pause) in [(0, 30), (30, 30), (45, 45), (90, 90), (600, 120), (90_000, 120)] {
            assert_eq!(next(reason::PROBE_FAILED, at), pause, "{at}");
        }
        assert_eq!(next(reason::EGRESS_NOT_ALLOWED, 90_000), 30);
    }

    #[test]
    fn who_waited_for_a_provider_hears_what_became_of_it() {
        let mut then = probed(0, Ok("m"));
        then.metadata.uid = Some("u".to_owned());
        assert_eq!(meanwhile(&then, Some(&then), "demo"), None);
        let mut again = then.clone();
        again.metadata.uid = Some("v".to_owned());
        let mut closed = then.clone();
        closed.spec.allowed_namespaces = vec!["other".to_owned()];
        let mut changed = then.clone();
        changed.metadata.generation = Some(2);
        for (now, says) in [
            (None, "deleted"),
            (Some(&again), "deleted"),
            (Some(&closed), "does not serve namespace demo"),
            (Some(&changed), "spec changed"),
        ] {
            let why = meanwhile(&then, now, "demo").unwrap_or_default();
            assert!(why.contains(says), "{says}: {why}");
        }
    }

    #[test]
    fn a_provider_that_asks_for_findings_is_told_that_there_are_none_yet() {
        let mut spec = AIProviderSpec::default();
        assert_eq!(unsupported(&spec), None);
        spec.disclosure = Disclosure::Findings;
        assert!(unsupported(&spec).unwrap().contains("Use PromptOnly"));
    }

    #[test]
    fn a_provider_serves_the_namespaces_it_names_or_all() {
        let of = |names: &[&str]| AIProviderSpec {
            allowed_namespaces: names.iter().map(|n| (*n).to_owned()).collect(),
            ..AIProviderSpec::default()
        };
        for (names, served) in [
            (&[][..], true),
            (&["demo"], true),
            (&["other", "demo"], true),
            (&["other"], false),
            (&["dem", "demo-2", "*"], false),
        ] {
            assert_eq!(serves(&of(names), "demo"), served, "{names:?}");
        }
    }
}
