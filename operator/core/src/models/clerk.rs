//! What the keeper of the audit log owes a call that another process intends: its entry before it is made, and one when it has
//! ended. And what a turn that another process reads has come to.

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::AIProviderSpec;
use kubechat_crds::chat_request::{Outbound, OutboundEnd, OutboundState, Reading, ReadingState};
use url::Url;

/// How long whoever made a call has to say what became of it after its turn has ended: longer than any job lasts.
const SAID_WITHIN: SignedDuration = SignedDuration::from_mins(6);
/// Letters of a SHA-256 in hex.
const HEX: usize = 64;
/// Classes of what was taken out of a prompt, at most.
const MOST_CLASSES: usize = 64;
/// Letters of an id or a class at most.
const LONGEST_WORD: usize = 64;

/// What is due for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its intent is to be committed, or refused.
    Commit,
    /// Its end is to be recorded.
    End,
    /// Nothing.
    Nothing,
}

/// What is due for a call. What was never committed was never made, and its end is nobody's to record.
#[must_use]
pub const fn due(call: &Outbound) -> Due {
    match (call.state, call.audit_seq, &call.end) {
        (OutboundState::Intended, None, None) => Due::Commit,
        (OutboundState::Done | OutboundState::Failed, Some(_), Some(end)) if end.audit_seq.is_none() => {
            Due::End
        }
        (
            OutboundState::Intended | OutboundState::Committed | OutboundState::Done | OutboundState::Failed,
            _,
            _,
        ) => Due::Nothing,
    }
}

/// Whether something is owed to any of a turn's calls: until then nothing that came back is used.
#[must_use]
pub fn owes(calls: &[Outbound]) -> bool {
    calls.iter().any(|call| due(call) != Due::Nothing)
}

/// Whether another process is to ask models for a turn now.
#[must_use]
pub fn is_asked(reading: Option<&Reading>) -> bool {
    reading.is_some_and(|reading| reading.state == ReadingState::Asked)
}

/// Why a call is not one of this provider's as its spec is now; `None` when it is.
#[must_use]
pub fn misstated(call: &Outbound, spec: &AIProviderSpec) -> Option<&'static str> {
    let endpoint = spec
        .endpoint
        .as_deref()
        .and_then(|text| Url::parse(text).ok())
        .map(|url| url.origin().ascii_serialization());
    let hash = call.digest.strip_prefix("sha256:").unwrap_or_default();
    if endpoint.as_ref() != Some(&call.endpoint) {
        Some("it names another endpoint than the provider's")
    } else if spec.model.as_ref() != Some(&call.model) {
        Some("it names another model than the provider's")
    } else if hash.len() != HEX
        || !hash.bytes().all(|b| b.is_ascii_hexdigit())
        || call.bytes < 0
        || !is_word(&call.id)
        || call.redactions.len() > MOST_CLASSES
        || !call.redactions.iter().all(|(class, n)| is_word(class) && *n >= 0)
    {
        Some("it does not say what it sends")
    } else {
        None
    }
}

/// Ids and classes are words, not texts: they stand in the log as they came.
fn is_word(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(word)
}

/// Whether it may be under way: nobody said what became of it.
#[must_use]
pub fn is_open(call: &Outbound) -> bool {
    call.state == OutboundState::Committed && call.end.is_none()
}

/// When nobody waits any more for what became of the calls of a turn that has ended; `None` where all of it was said.
#[must_use]
pub fn given_up_at(calls: &[Outbound], completed: Timestamp) -> Option<Timestamp> {
    let open = calls.iter().any(is_open);
    open.then(|| completed.saturating_add(SAID_WITHIN).unwrap_or(completed))
}

/// Says of each call whose end nobody said that it is not known.
pub fn give_up(calls: &mut [Outbound], why: &str) {
    for call in calls.iter_mut().filter(|call| is_open(call)) {
        call.state = OutboundState::Failed;
        call.end = Some(OutboundEnd {
            sent: true,
            failure: Some(why.to_owned()),
            unknown: true,
            ..OutboundEnd::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(state: OutboundState, seq: Option<i64>, end: Option<Option<i64>>) -> Outbound {
        Outbound {
            id: "small-1".to_owned(),
            state,
            audit_seq: seq,
            end: end.map(|audit_seq| OutboundEnd {
                audit_seq,
                ..OutboundEnd::default()
            }),
            ..Outbound::default()
        }
    }

    #[test]
    fn each_call_has_its_intent_committed_once_and_its_end_recorded_once() {
        use OutboundState::{Committed, Done, Failed, Intended};
        for (call, expected) in [
            (call(Intended, None, None), Due::Commit),
            (call(Intended, Some(1), None), Due::Nothing),
            (call(Committed, Some(1), None), Due::Nothing),
            (call(Done, Some(1), Some(None)), Due::End),
            (call(Failed, Some(1), Some(None)), Due::End),
            (call(Done, Some(1), Some(Some(2))), Due::Nothing),
            (call(Failed, None, Some(None)), Due::Nothing),
            (call(Failed, None, None), Due::Nothing),
            // Made without an entry: nothing makes up for that.
            (call(Done, None, Some(None)), Due::Nothing),
        ] {
            assert_eq!(due(&call), expected, "{call:?}");
        }
        assert!(owes(&[
            call(Committed, Some(1), None),
            call(Done, Some(1), Some(None))
        ]));
        assert!(!owes(&[call(Done, Some(1), Some(Some(2)))]));
    }

    #[test]
    fn what_nobody_said_of_a_call_is_not_waited_for_for_ever_and_is_then_owed_an_entry() {
        use OutboundState::{Committed, Done, Intended};
        let completed = Timestamp::from_second(1000).unwrap();
        let mut calls = vec![
            call(Intended, None, None),
            call(Committed, Some(1), None),
            call(Done, Some(2), Some(Some(3))),
        ];
        assert_eq!(
            given_up_at(&calls, completed),
            Some(completed + SAID_WITHIN),
            "one is open"
        );
        give_up(&mut calls, "nobody said it");
        assert_eq!(given_up_at(&calls, completed), None);
        assert_eq!(due(&calls[1]), Due::End);
        let end = calls[1].end.clone().unwrap();
        assert!(end.unknown && end.sent && end.failure.is_some(), "{end:?}");
        // What was never committed was never made, and what is known stays.
        assert_eq!(
            (calls[0].clone(), calls[2].clone()),
            (call(Intended, None, None), call(Done, Some(2), Some(Some(3))))
        );
    }

    #[test]
    fn a_call_is_the_providers_own_or_is_not_let_be_made() {
        let spec = AIProviderSpec {
            endpoint: Some("http://ollama.ai.svc:11434/base".to_owned()),
            model: Some("small:1b".to_owned()),
            ..AIProviderSpec::default()
        };
        let good = Outbound {
            id: "small-1".to_owned(),
            redactions: [("github-token".to_owned(), 2)].into(),
            endpoint: "http://ollama.ai.svc:11434".to_owned(),
            model: "small:1b".to_owned(),
            digest: format!("sha256:{}", "0a".repeat(32)),
            bytes: 7,
            ..Outbound::default()
        };
        assert_eq!(misstated(&good, &spec), None);
        type Spoil = fn(&mut Outbound);
        let spoils: [(Spoil, &str); 9] = [
            (
                |call| call.endpoint = "http://evil.example".to_owned(),
                "endpoint",
            ),
            (|call| call.endpoint = String::new(), "endpoint"),
            (|call| call.model = "large".to_owned(), "model"),
            (|call| call.digest = "sha256:00".to_owned(), "what it sends"),
            (
                |call| call.digest = format!("sha256:{}", "\u{1b}".repeat(64)),
                "what it sends",
            ),
            (|call| call.bytes = -1, "what it sends"),
            (|call| call.id = "small-1\u{1b}[2J".to_owned(), "what it sends"),
            (
                |call| call.redactions = [("the password is hunter2".to_owned(), 1)].into(),
                "what it sends",
            ),
            (
                |call| call.redactions = [("github-token".to_owned(), -1)].into(),
                "what it sends",
            ),
        ];
        for (spoil, says) in spoils {
            let mut call = good.clone();
            spoil(&mut call);
            let why = misstated(&call, &spec).unwrap_or_default();
            assert!(why.contains(says), "{call:?}: {why}");
        }
        assert!(misstated(&good, &AIProviderSpec::default()).is_some());
    }
}
