//! What stops a step under way between two of its targets. It rests on caches, so that it costs nothing to ask before each:
//! they may stop a step, and never let one go. Between steps everything is read anew and judged ([`super::command_plan`]).

use super::command_plan::{Withdrawn, without_claim};
use crate::policy::{Effective, PolicyProblem};

/// What the caches hold of a plan under way.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Whether they hold the plan.
    pub there: bool,
    /// Why its turn does not ask for it any more, if it does not.
    pub withdrawn: Option<Withdrawn>,
    /// Whether a Deny of it was accepted.
    pub denied: bool,
    /// The live policies.
    pub policies: Result<&'a Effective, &'a PolicyProblem>,
}

/// Why nothing more of it is sent, if so.
#[must_use]
pub fn pulled(seen: &Seen<'_>) -> Option<String> {
    if !seen.there {
        return Some("the plan was removed".to_owned());
    }
    if let Some(withdrawn) = seen.withdrawn {
        return Some(withdrawn.ending().message);
    }
    if seen.denied {
        return Some("somebody who may denied it".to_owned());
    }
    match seen.policies {
        Ok(policies) => policies
            .suspended_by()
            .map(|pack| format!("RiskPolicy {pack} suspends all execution (spec.suspend)")),
        Err(problem) => Some(without_claim(&problem.message)),
    }
}

#[cfg(test)]
mod tests {
    use kubechat_crds::{RiskPolicy, RiskPolicySpec};

    use super::*;

    fn policies(suspend: bool) -> Effective {
        let spec = RiskPolicySpec {
            suspend,
            ..RiskPolicySpec::default()
        };
        Effective::from_policies(&[RiskPolicy::new("baseline", spec)]).unwrap()
    }

    #[test]
    fn each_brake_stops_a_step_and_says_which_it_was() {
        let (open, held) = (policies(false), policies(true));
        let none: [RiskPolicy; 0] = [];
        let problem = Effective::from_policies(&none).unwrap_err();
        let go = || Seen {
            there: true,
            withdrawn: None,
            denied: false,
            policies: Ok(&open),
        };
        assert_eq!(pulled(&go()), None);
        let withdrawn = |why| Seen {
            withdrawn: Some(why),
            ..go()
        };
        for (seen, said) in [
            (Seen { there: false, ..go() }, "the plan was removed"),
            (withdrawn(Withdrawn::Cancelled), "spec.cancel"),
            (
                withdrawn(Withdrawn::TurnGone),
                "the turn that asked for it is gone",
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
            let why = pulled(&seen).unwrap();
            assert!(why.contains(said), "{said:?} is not in {why:?}");
            // Of a step under way that would not be true.
            assert!(!why.contains("nothing is") && !why.contains("waits"), "{why}");
        }
    }
}
