//! A call of a model as entries of the audit log: the same, whichever process makes it.

use kubechat_ai::{Call, End};
use kubechat_audit::{Actor, Draft, EventType, Ids, Outcome, Target};
use kubechat_core::reason;
use kubechat_crds::ChatRequest;
use kubechat_crds::chat_request::{Outbound, OutboundEnd, OutboundState};
use serde_json::{Value, json};

use crate::audit::{actor, turn_ids};

/// What entries about a turn's calls say was asked for.
pub(super) const VERB: &str = "interpret";

/// Whose call it is.
#[derive(Clone, Debug)]
pub(crate) struct About {
    actor: Actor,
    ids: Ids,
    verb: &'static str,
    /// Whose calls have these ids, where no turn says it.
    of: Option<String>,
}

impl About {
    /// A person's, for his turn.
    pub(crate) fn turn(request: &ChatRequest) -> Self {
        let who = request.spec.requester.clone().unwrap_or_default();
        Self {
            actor: actor(&who),
            ids: turn_ids(request),
            verb: VERB,
            of: None,
        }
    }

    /// Nobody's: a provider is probed.
    pub(crate) fn probe(namespace: &str, provider_uid: &str) -> Self {
        Self {
            actor: Actor::named(format!("system:serviceaccount:{namespace}:kubechat-operator")),
            ids: Ids::default(),
            verb: "probe",
            of: Some(provider_uid.to_owned()),
        }
    }

    fn draft(&self, call: &Outbound, outcome: Outcome, why: &'static str) -> Draft {
        let mut draft = Draft::new(EventType::Outbound, self.actor.clone(), self.verb, outcome, why);
        draft.ids = self.ids.clone();
        draft.ids.step_id = Some(self.id_of(call));
        draft.target = Some(Target {
            group: Some(kubechat_crds::GROUP.to_owned()),
            version: Some(kubechat_crds::VERSION.to_owned()),
            kind: Some("AIProvider".to_owned()),
            name: Some(call.provider.clone()),
            ..Target::default()
        });
        draft
    }

    /// Its id in the log: that of the call, and all that it says of itself, so that no other call passes for it.
    fn id_of(&self, call: &Outbound) -> String {
        let said = json!([call.provider, payload(call)]).to_string();
        let hash = kubechat_crds::sha256_hex(said.as_bytes());
        let hash = hash.get(..16).unwrap_or_default();
        match &self.of {
            Some(of) => format!("{of}/{}/{hash}", call.id),
            None => format!("{}/{hash}", call.id),
        }
    }

    /// A call is about to be made.
    pub(crate) fn intent(&self, call: &Outbound) -> Draft {
        let mut draft = self.draft(call, Outcome::Intent, reason::OUTBOUND_INTENDED);
        (draft.message, draft.payload) = (told(call), payload(call));
        draft
    }

    /// What became of it.
    pub(crate) fn end(&self, call: &Outbound, end: &OutboundEnd) -> Draft {
        let why = end.failure.as_deref().unwrap_or_default();
        let (outcome, reason, message) = if end.unknown {
            let of = call.audit_seq.unwrap_or_default();
            let text = format!("what became of the call of entry {of} is not known: {why}");
            (Outcome::Unknown, reason::OUTBOUND_UNKNOWN, text)
        } else if end.failure.is_some() {
            let text = format!("{}; {why}", told(call));
            (Outcome::Failure, reason::OUTBOUND_FAILED, text)
        } else {
            let text = format!(
                "{}; answered, {} tokens read and {} written",
                told(call),
                end.tokens_in,
                end.tokens_out
            );
            (Outcome::Success, reason::OUTBOUND_DONE, text)
        };
        let mut about = payload(call);
        about["of"] = json!(call.audit_seq);
        about["sent"] = json!(end.sent);
        about["tokensIn"] = json!(end.tokens_in);
        about["tokensOut"] = json!(end.tokens_out);
        about["milliseconds"] = json!(end.milliseconds);
        if let Some(why) = &end.failure {
            // Another process's words; the message is looked at like every message.
            about["failure"] = json!(kubechat_core::redact::shown(why));
        }
        let mut draft = self.draft(call, outcome, reason);
        (draft.message, draft.payload) = (message, about);
        draft
    }
}

fn number(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

/// A call that is intended.
pub(super) fn intended(id: String, provider: &str, call: &Call) -> Outbound {
    Outbound {
        id,
        state: OutboundState::Intended,
        audit_seq: None,
        provider: provider.to_owned(),
        endpoint: call.endpoint.clone(),
        model: call.model.clone(),
        bytes: number(call.bytes),
        digest: call.digest.clone(),
        redactions: call
            .redactions
            .iter()
            .map(|(class, n)| ((*class).to_owned(), number(*n)))
            .collect(),
        end: None,
    }
}

/// How a call ended.
pub(super) fn ended(end: &End) -> OutboundEnd {
    OutboundEnd {
        sent: end.sent,
        tokens_in: number(end.tokens.0),
        tokens_out: number(end.tokens.1),
        milliseconds: number(end.took.as_millis()),
        failure: end.failure.clone(),
        unknown: false,
        audit_seq: None,
    }
}

fn told(call: &Outbound) -> String {
    let mut text = format!(
        "{} bytes to {} for model {}: {}",
        call.bytes, call.endpoint, call.model, call.digest
    );
    if !call.redactions.is_empty() {
        let of: Vec<String> = call
            .redactions
            .iter()
            .map(|(class, n)| format!("{class} {n}"))
            .collect();
        text.push_str(&format!("; taken out before: {}", of.join(", ")));
    }
    text
}

fn payload(call: &Outbound) -> Value {
    json!({
        "endpoint": call.endpoint, "model": call.model, "bytes": call.bytes, "sha256": call.digest,
        "redactions": call.redactions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_call_has_its_size_hash_and_classes_and_nothing_of_its_content() {
        let call = Call {
            endpoint: "http://127.0.0.1:1".to_owned(),
            model: "m".to_owned(),
            bytes: 7,
            digest: "sha256:00".to_owned(),
            redactions: [("github-token", 2)].into(),
        };
        let mut call = intended("small-1".to_owned(), "small", &call);
        call.audit_seq = Some(9);
        let about = About::probe("kubechat-system", "p1");
        assert_eq!(
            about.intent(&call).message,
            "7 bytes to http://127.0.0.1:1 for model m: sha256:00; taken out before: github-token 2"
        );
        let mut end = ended(&End {
            failure: Some("the model server is busy".to_owned()),
            sent: true,
            tokens: (0, u64::MAX),
            took: std::time::Duration::from_millis(5),
        });
        let failed = about.end(&call, &end);
        assert_eq!(
            (failed.outcome, failed.reason.as_str()),
            (Outcome::Failure, reason::OUTBOUND_FAILED)
        );
        assert!(
            failed.message.ends_with("the model server is busy"),
            "{}",
            failed.message
        );
        assert_eq!(
            (failed.payload["of"].as_u64(), failed.payload["sent"].as_bool()),
            (Some(9), Some(true))
        );
        assert_eq!(failed.payload["tokensOut"], json!(i64::MAX));
        end.unknown = true;
        let lost = about.end(&call, &end);
        assert_eq!(lost.outcome, Outcome::Unknown);
        assert!(lost.message.contains("entry 9 is not known"), "{}", lost.message);
    }
}
