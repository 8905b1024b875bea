//! ChatSession: phase, turns and expiry.

use std::time::Duration;

use jiff::Timestamp;
use kubechat_crds::chat_session::Confirm;
use kubechat_crds::command_plan::Requirement;
use kubechat_crds::{ChatSessionSpec, CommandPlanSpec, Mode, SessionPhase};

use crate::duration;

/// Life of a session after its last turn where its `ttl` says nothing.
const DEFAULT_TTL: Duration = Duration::from_secs(8 * 3600);
/// Longest `ttl`.
const MAX_TTL: Duration = Duration::from_secs(168 * 3600);

/// The turns of a session as the controller sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// How many there are.
    pub count: i64,
    /// When the newest was created.
    pub newest: Option<Timestamp>,
    /// Whether one neither is finished nor waits for a person.
    pub working: bool,
}

/// What a session is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Phase.
    pub phase: SessionPhase,
    /// Turns so far.
    pub turns: i64,
    /// Newest turn, or the creation of the session.
    pub last_activity: Timestamp,
    /// When it ends if nothing more is asked.
    pub expires_at: Timestamp,
}

/// Decides. An expired session stays expired, also when a turn is added late.
#[must_use]
pub fn decide(
    spec: &ChatSessionSpec,
    created: Timestamp,
    was: Option<SessionPhase>,
    turns: Turns,
    now: Timestamp,
) -> Verdict {
    let last_activity = turns.newest.map_or(created, |newest| newest.max(created));
    let ttl = spec
        .ttl
        .as_deref()
        .and_then(duration::parse)
        .unwrap_or(DEFAULT_TTL)
        .min(MAX_TTL);
    let expires_at = jiff::SignedDuration::try_from(ttl)
        .ok()
        .and_then(|d| last_activity.checked_add(d).ok())
        .unwrap_or(last_activity);
    let phase = if spec.closed {
        SessionPhase::Terminated
    } else if was == Some(SessionPhase::Expired) || now >= expires_at {
        SessionPhase::Expired
    } else if turns.working {
        SessionPhase::Processing
    } else {
        SessionPhase::Active
    };
    Verdict {
        phase,
        turns: turns.count,
        last_activity,
        expires_at,
    }
}

/// What the session asks for that this release does not do. No turn is taken then: who asked for it would rely on it.
#[must_use]
pub fn unsupported(spec: &ChatSessionSpec) -> Option<String> {
    let defaults = spec.defaults.as_ref()?;
    let used = [
        (defaults.cluster_ref.is_some(), "clusterRef"),
        (!defaults.notify.is_empty(), "notify"),
    ];
    let fields: Vec<&str> = used
        .into_iter()
        .filter_map(|(used, name)| used.then_some(name))
        .collect();
    (!fields.is_empty()).then(|| {
        format!(
            "spec.defaults: {} not supported in this version, so the session takes no turns. Remove it from the session",
            fields.join(", ")
        )
    })
}

/// What an entry of a plan's requirement names as its policy where a session asks for it. No policy can be called so.
const ASKED_BY: &str = "ChatSession/";

/// What a session asks for of a change that no policy asks anything for: one word, also the requester's own.
#[must_use]
pub fn confirmation(session: &str, spec: &ChatSessionSpec, plan: &CommandPlanSpec) -> Option<Requirement> {
    let always = spec.defaults.as_ref()?.confirm == Some(Confirm::Always);
    (always && plan.mode != Mode::PlanOnly && plan.requirement.is_empty()).then(|| Requirement {
        policy: format!("{ASKED_BY}{session}"),
        count: 1,
        self_confirm: true,
        ..Requirement::default()
    })
}

/// The session that asks for an entry of a plan's requirement; `None` where a policy does.
#[must_use]
pub fn asked_by(entry: &Requirement) -> Option<&str> {
    entry.policy.strip_prefix(ASKED_BY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubechat_crds::LocalRef;
    use kubechat_crds::chat_session::SessionDefaults;

    #[test]
    fn what_a_session_asks_for_in_vain_is_named() {
        let said = |defaults: SessionDefaults| {
            unsupported(&ChatSessionSpec {
                defaults: Some(defaults),
                ..Default::default()
            })
        };
        let (namespace, provider) = (Some("demo".to_owned()), Some(LocalRef::new("rules")));
        let honoured = SessionDefaults {
            namespace,
            provider_ref: provider,
            confirm: Some(Confirm::Always),
            ..Default::default()
        };
        assert_eq!(unsupported(&ChatSessionSpec::default()), None);
        assert_eq!(said(honoured), None);
        let all = said(SessionDefaults {
            notify: vec!["ops".into()],
            cluster_ref: Some(LocalRef::new("east")),
            ..Default::default()
        });
        assert!(all.unwrap().contains("clusterRef, notify"));
    }

    #[test]
    fn a_session_that_confirms_always_asks_for_one_word_where_no_policy_asks() {
        let policy = Requirement {
            policy: "baseline".into(),
            count: 1,
            ..Requirement::default()
        };
        for (confirm, mode, requirement, asks) in [
            (Some(Confirm::Always), Mode::Auto, vec![], true),
            (Some(Confirm::Always), Mode::Auto, vec![policy], false),
            (Some(Confirm::Always), Mode::PlanOnly, vec![], false),
            (Some(Confirm::PolicyOnly), Mode::Auto, vec![], false),
            (None, Mode::Auto, vec![], false),
        ] {
            let session = ChatSessionSpec {
                defaults: Some(SessionDefaults {
                    confirm,
                    ..SessionDefaults::default()
                }),
                ..ChatSessionSpec::default()
            };
            let plan = CommandPlanSpec {
                mode,
                requirement,
                ..CommandPlanSpec::default()
            };
            let found = confirmation("talk", &session, &plan);
            assert_eq!(found.is_some(), asks, "{confirm:?} {mode:?}");
            if let Some(entry) = found {
                assert_eq!(
                    (entry.count, entry.self_confirm, asked_by(&entry)),
                    (1, true, Some("talk"))
                );
            }
        }
        assert_eq!(asked_by(&Requirement::default()), None);
    }

    #[test]
    fn phases_follow_turns_ttl_and_closing() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let spec = |closed| ChatSessionSpec {
            ttl: Some("10s".into()),
            closed,
            ..Default::default()
        };
        let turn = |created, resting: bool| Turns {
            count: 1,
            newest: Some(at(created)),
            working: !resting,
        };
        let none = Turns::default();
        use SessionPhase::{Active, Expired, Processing, Terminated};
        let cases = [
            (spec(false), None, none, 5, Active),
            (spec(false), None, none, 10, Expired),
            (spec(false), None, turn(8, true), 15, Active),
            (spec(false), None, turn(8, false), 15, Processing),
            (spec(false), Some(Expired), turn(12, true), 15, Expired),
            (spec(true), None, turn(1, false), 2, Terminated),
            (
                ChatSessionSpec {
                    ttl: Some("9999h".into()),
                    ..Default::default()
                },
                None,
                none,
                700_000,
                Expired,
            ),
        ];
        for (spec, was, turns, now, want) in cases {
            assert_eq!(
                decide(&spec, at(0), was, turns, at(now)).phase,
                want,
                "{turns:?} at {now}"
            );
        }
    }
}
