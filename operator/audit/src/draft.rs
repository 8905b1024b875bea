//! What callers say happened: the [`Draft`] of an entry, and the part it plays for the execution lock.
//!
//! Invariants: a `Draft` holds no secret values (callers redact first); it becomes an entry only in a store,
//! which gives it its number and time. The operator is the only caller: other processes leave what happened
//! in objects, and the operator commits it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Actor, EventType, Ids, Outcome, Risk, Source, Target};

/// Longest id that a draft may carry, in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Longest verb, reason or risk level, in bytes.
pub const MAX_WORD_BYTES: usize = 64;
/// Highest risk score.
pub const MAX_RISK_SCORE: u8 = 100;

/// An event on its way into the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// Kind of event.
    pub event_type: EventType,
    /// Who.
    pub actor: Actor,
    /// Whether KubeChat acted as the actor (impersonation) rather than the actor acting.
    pub impersonated: bool,
    /// What it belongs to.
    pub ids: Ids,
    /// About which object.
    pub target: Option<Target>,
    /// What was done or asked for: `scale`, `approve`, `create`.
    pub verb: String,
    /// How dangerous.
    pub risk: Option<Risk>,
    /// How it ended.
    pub outcome: Outcome,
    /// Fixed PascalCase reason.
    pub reason: String,
    /// One sentence for people; cut visibly at 1 KiB.
    pub message: String,
    /// `Audit-ID` of the last write in the API server's own audit log, to compare both. All of a step begin with its id.
    pub api_audit_id: Option<String>,
    /// Claimed origin.
    pub source: Option<Source>,
    /// Details, already redacted. More than 16 KiB are replaced by their hash.
    pub payload: Value,
}

impl Draft {
    /// A draft with what every event has; the rest is set on the fields.
    pub fn new(
        event_type: EventType,
        actor: Actor,
        verb: impl Into<String>,
        outcome: Outcome,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            event_type,
            actor,
            impersonated: false,
            ids: Ids::default(),
            target: None,
            verb: verb.into(),
            risk: None,
            outcome,
            reason: reason.into(),
            message: String::new(),
            api_audit_id: None,
            source: None,
            payload: Value::Null,
        }
    }

    /// The part this draft plays for the one-execution lock.
    pub fn step_role(&self) -> StepRole {
        StepRole::of(self.event_type, self.outcome, self.ids.step_id.as_deref())
    }

    /// Refuses what only a mistake in the calling code can produce. Texts that people control are never
    /// refused here (they are cut when stored), so that nobody can stop the log with a long name.
    pub fn check(&self) -> Result<(), InvalidDraft> {
        if self.actor.username.is_empty() {
            return Err(InvalidDraft::new("actor.username", "is empty"));
        }
        check_word("verb", &self.verb, |text| {
            text.bytes().all(|b| b.is_ascii_graphic())
        })?;
        check_word("reason", &self.reason, is_pascal_case)?;
        if let Some(risk) = &self.risk {
            check_word("risk.level", &risk.level, |text| {
                text.bytes().all(|b| b.is_ascii_lowercase())
            })?;
            if risk.score > MAX_RISK_SCORE {
                return Err(InvalidDraft::new("risk.score", "is above 100"));
            }
        }
        let Ids {
            session,
            request,
            plan,
            approval,
            step_id,
            request_uid,
            plan_uid,
            plan_digest,
        } = &self.ids;
        let ids = [
            ("ids.session", session),
            ("ids.request", request),
            ("ids.plan", plan),
            ("ids.approval", approval),
            ("ids.stepId", step_id),
            ("ids.requestUid", request_uid),
            ("ids.planUid", plan_uid),
            ("ids.planDigest", plan_digest),
            ("apiAuditId", &self.api_audit_id),
        ];
        ids.into_iter()
            .try_for_each(|(field, id)| id.as_deref().map_or(Ok(()), |id| check_id(field, id)))
    }
}

/// The part an entry plays for the one-execution lock on its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepRole {
    /// Takes the lock: the step may be sent once.
    Intent,
    /// Says what became of it.
    Result,
    /// None of these.
    None,
}

impl StepRole {
    /// Only `command_execution` entries with a step id take part.
    pub fn of(event_type: EventType, outcome: Outcome, step_id: Option<&str>) -> Self {
        if event_type != EventType::CommandExecution || step_id.is_none() {
            return Self::None;
        }
        match outcome {
            Outcome::Intent => Self::Intent,
            Outcome::Success | Outcome::Failure | Outcome::Unknown => Self::Result,
            Outcome::Denied => Self::None,
        }
    }
}

/// A draft that the calling code must not make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit draft refused: {field} {why}; nothing was written")]
pub struct InvalidDraft {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl InvalidDraft {
    pub(crate) fn new(field: &'static str, why: &'static str) -> Self {
        Self { field, why }
    }
}

pub(crate) fn check_id(field: &'static str, id: &str) -> Result<(), InvalidDraft> {
    if id.is_empty() {
        return Err(InvalidDraft::new(field, "is empty"));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(InvalidDraft::new(field, "is longer than 256 bytes"));
    }
    if id.chars().any(char::is_control) {
        return Err(InvalidDraft::new(field, "holds a control character"));
    }
    Ok(())
}

fn check_word(field: &'static str, word: &str, allowed: impl Fn(&str) -> bool) -> Result<(), InvalidDraft> {
    if word.is_empty() {
        return Err(InvalidDraft::new(field, "is empty"));
    }
    if word.len() > MAX_WORD_BYTES {
        return Err(InvalidDraft::new(field, "is longer than 64 bytes"));
    }
    if allowed(word) {
        Ok(())
    } else {
        Err(InvalidDraft::new(field, "is not written as the format asks"))
    }
}

fn is_pascal_case(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft::new(
            EventType::Approval,
            Actor::named("alice"),
            "approve",
            Outcome::Success,
            "Approved",
        )
    }

    #[test]
    fn refuses_drafts_that_only_a_programming_mistake_can_make() {
        type Spoil = fn(&mut Draft);
        let cases: [(&str, Spoil); 10] = [
            ("actor.username", |d| d.actor.username.clear()),
            ("verb", |d| d.verb.clear()),
            ("verb", |d| d.verb = "scale up".into()),
            ("verb", |d| d.verb = "v".repeat(65)),
            ("reason", |d| d.reason = "not pascal".into()),
            ("reason", |d| d.reason = "lower".into()),
            ("risk.level", |d| {
                d.risk = Some(Risk {
                    level: "HIGH".into(),
                    score: 1,
                });
            }),
            ("risk.score", |d| {
                d.risk = Some(Risk {
                    level: "safe".into(),
                    score: 101,
                });
            }),
            ("ids.plan", |d| d.ids.plan = Some(String::new())),
            ("ids.stepId", |d| d.ids.step_id = Some("x".repeat(257))),
        ];
        assert_eq!(draft().check(), Ok(()));
        for (field, spoil) in cases {
            let mut bad = draft();
            spoil(&mut bad);
            assert_eq!(bad.check().unwrap_err().field, field);
        }
    }

    #[test]
    fn long_texts_that_people_control_are_not_refused() {
        let mut long = draft();
        long.actor.username = "a".repeat(100_000);
        long.message = "m".repeat(100_000);
        assert_eq!(long.check(), Ok(()));
    }

    #[test]
    fn only_execution_entries_with_a_step_id_take_part_in_the_lock() {
        use StepRole::{Intent, None as Nothing, Result as Final};
        let execution = EventType::CommandExecution;
        let cases = [
            (execution, Outcome::Intent, Some("s"), Intent),
            (execution, Outcome::Success, Some("s"), Final),
            (execution, Outcome::Failure, Some("s"), Final),
            (execution, Outcome::Unknown, Some("s"), Final),
            (execution, Outcome::Denied, Some("s"), Nothing),
            (execution, Outcome::Intent, None, Nothing),
            (EventType::Approval, Outcome::Intent, Some("s"), Nothing),
        ];
        for (kind, outcome, step, expected) in cases {
            assert_eq!(
                StepRole::of(kind, outcome, step),
                expected,
                "{kind} {outcome} {step:?}"
            );
        }
    }
}
