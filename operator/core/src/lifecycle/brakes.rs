//! What stops a step before any of its targets. It rests on caches, so that it costs nothing to ask before each: they may
//! stop a step, and never let one go. Between steps everything is read anew and judged ([`super::command_plan`]).

use super::command_plan::{Withdrawn, without_claim};
use crate::policy::{Effective, PolicyProblem};
use crate::reason;

/// What the caches hold of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is there.
    There,
    /// It is being removed.
    Leaving,
    /// They do not hold it.
    Absent,
}

/// What the caches hold of a plan under way.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The plan.
    pub plan: Held,
    /// Its turn.
    pub turn: Held,
    /// Whether its turn is withdrawn.
    pub cancelled: bool,
    /// Whether a Deny of it was accepted.
    pub denied: bool,
    /// The live policies.
    pub policies: Result<&'a Effective, &'a PolicyProblem>,
}

/// What the caches have held since the API server was read: only that can be gone. That an object is absent which they never
/// held says nothing, for the API server just had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The plan.
    pub plan: bool,
    /// Its turn.
    pub turn: bool,
    /// Any policy.
    pub policies: bool,
}

impl Shown {
    /// Where the API server did not say that anything is there, whatever is absent counts as gone.
    pub const ALL: Self = Self {
        plan: true,
        turn: true,
        policies: true,
    };

    /// And what they hold now.
    pub fn see(&mut self, seen: &Seen<'_>) {
        self.plan |= seen.plan != Held::Absent;
        self.turn |= seen.turn != Held::Absent;
        self.policies |= has_policies(seen.policies);
    }
}

/// Whether there is any policy, usable or not.
#[must_use]
pub fn has_policies(policies: Result<&Effective, &PolicyProblem>) -> bool {
    policies.map_or_else(|problem| problem.reason != reason::NO_POLICY, |_| true)
}

/// Why nothing more of it is sent, if so.
#[must_use]
pub fn pulled(seen: &Seen<'_>, shown: Shown) -> Option<String> {
    let gone = |held: Held, shown: bool| match held {
        Held::There => false,
        Held::Leaving => true,
        Held::Absent => shown,
    };
    if gone(seen.plan, shown.plan) {
        return Some("the plan was removed".to_owned());
    }
    if gone(seen.turn, shown.turn) {
        return Some(Withdrawn::TurnGone.ending().message);
    }
    if seen.cancelled {
        return Some(Withdrawn::Cancelled.ending().message);
    }
    if seen.denied {
        return Some("somebody who may denied it".to_owned());
    }
    match seen.policies {
        Ok(policies) => policies
            .suspended_by()
            .map(|pack| format!("RiskPolicy {pack} suspends all execution (spec.suspend)")),
        Err(_) if !has_policies(seen.policies) && !shown.policies => None,
        Err(problem) => Some(without_claim(&problem.message)),
    }
}

#[cfg(test)]
mod tests {
    use kubechat_crds::{RiskPolicy, RiskPolicySpec};
    use proptest::prelude::*;

    use super::*;

    fn policies(suspend: bool) -> Effective {
        let spec = RiskPolicySpec {
            suspend,
            ..RiskPolicySpec::default()
        };
        Effective::from_policies(&[RiskPolicy::new("baseline", spec)]).unwrap()
    }

    fn no_policies() -> PolicyProblem {
        let none: [RiskPolicy; 0] = [];
        Effective::from_policies(&none).unwrap_err()
    }

    fn going(policies: &Effective) -> Seen<'_> {
        Seen {
            plan: Held::There,
            turn: Held::There,
            cancelled: false,
            denied: false,
            policies: Ok(policies),
        }
    }

    #[test]
    fn each_brake_stops_a_step_and_says_which_it_was() {
        let (open, held) = (policies(false), policies(true));
        let problem = no_policies();
        let go = || going(&open);
        assert_eq!(pulled(&go(), Shown::ALL), None);
        let plan = |plan| Seen { plan, ..go() };
        let turn = |turn| Seen { turn, ..go() };
        for (seen, said) in [
            (plan(Held::Absent), "the plan was removed"),
            (plan(Held::Leaving), "the plan was removed"),
            (turn(Held::Absent), "the turn that asked for it is gone"),
            (turn(Held::Leaving), "the turn that asked for it is gone"),
            (
                Seen {
                    cancelled: true,
                    ..go()
                },
                "spec.cancel",
            ),
            (Seen { denied: true, ..go() }, "denied it"),
            (
                Seen {
                    policies: Ok(&held),
                    ..go()
                },
                "RiskPolicy baseline suspends all execution",
            ),
            (
                Seen {
                    policies: Err(&problem),
                    ..go()
                },
                "There is no RiskPolicy",
            ),
        ] {
            let why = pulled(&seen, Shown::ALL).unwrap();
            assert!(why.contains(said), "{said:?} is not in {why:?}");
            // Of a step under way that would not be true.
            assert!(!why.contains("nothing is") && !why.contains("waits"), "{why}");
        }
    }

    #[test]
    fn what_the_caches_never_held_is_not_gone_and_what_they_held_is() {
        let (open, problem) = (policies(false), no_policies());
        let blind = Seen {
            plan: Held::Absent,
            turn: Held::Absent,
            policies: Err(&problem),
            ..going(&open)
        };
        assert_eq!(pulled(&blind, Shown::default()), None);
        for shown in [
            Shown {
                plan: true,
                ..Shown::default()
            },
            Shown {
                turn: true,
                ..Shown::default()
            },
            Shown {
                policies: true,
                ..Shown::default()
            },
        ] {
            assert!(pulled(&blind, shown).is_some(), "{shown:?}");
        }
        // What they come to hold meanwhile can be gone afterwards.
        let mut shown = Shown::default();
        shown.see(&blind);
        assert_eq!(shown, Shown::default());
        shown.see(&going(&open));
        assert_eq!(shown, Shown::ALL);
        shown.see(&blind);
        assert_eq!(shown, Shown::ALL);
    }

    #[test]
    fn a_policy_that_cannot_be_used_stops_a_step_whether_it_was_there_before_or_not() {
        let open = policies(false);
        let problem = PolicyProblem {
            reason: reason::POLICY_NOT_READY,
            message: "RiskPolicy strict is not Ready".to_owned(),
        };
        let seen = Seen {
            policies: Err(&problem),
            ..going(&open)
        };
        let why = pulled(&seen, Shown::default()).unwrap();
        assert!(why.contains("strict is not Ready"), "{why}");
    }

    proptest! {
        #[test]
        fn what_stops_a_step_where_nothing_was_shown_stops_it_wherever_something_was(
            plan in held(), turn in held(), cancelled: bool, denied: bool, pack in 0..3u8,
            shown in any::<[bool; 3]>(),
        ) {
            let (open, shut, problem) = (policies(false), policies(true), no_policies());
            let policies = match pack {
                0 => Ok(&open),
                1 => Ok(&shut),
                _ => Err(&problem),
            };
            let seen = Seen { plan, turn, cancelled, denied, policies };
            let [plan, turn, policies] = shown;
            let some = Shown { plan, turn, policies };
            if pulled(&seen, Shown::default()).is_some() {
                prop_assert!(pulled(&seen, some).is_some());
            }
            if pulled(&seen, some).is_some() {
                prop_assert!(pulled(&seen, Shown::ALL).is_some());
            }
            let sure = cancelled || denied || pack == 1;
            prop_assert!(!sure || pulled(&seen, Shown::default()).is_some());
        }
    }

    fn held() -> impl Strategy<Value = Held> {
        prop_oneof![Just(Held::There), Just(Held::Leaving), Just(Held::Absent)]
    }
}
