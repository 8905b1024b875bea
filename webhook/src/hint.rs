//! Which rights a decision will be asked about, known before its plan is read: the webhook has seen the plan when it was
//! created. Then plan and rights are asked at the same time.
//!
//! **Invariant:** a hint answers nothing. The plan is read anew for each decision, and only answers to the questions of the
//! plan as it was read count; where one of them was not asked yet, all are asked after the plan was read.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use kubechat_core::authz::{Question, approver_questions, usual_questions};
use kubechat_crds::CommandPlanSpec;

/// Most plans remembered; the one seen longest ago is forgotten.
const MAX_PLANS: usize = 4_096;
/// Most questions of a plan that is remembered.
const MAX_QUESTIONS: usize = 8;

/// The plans that were admitted last, by digest.
#[derive(Debug, Default)]
pub(crate) struct Hints(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    plans: HashMap<String, Hint>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Hint {
    questions: Vec<Question>,
    requester: String,
}

impl Hints {
    /// Remembers a plan that was admitted.
    pub(crate) fn remember(&self, plan: &CommandPlanSpec) {
        let questions = approver_questions(plan);
        if questions.len() > MAX_QUESTIONS {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hint = Hint {
            questions,
            requester: plan.requester.username.clone(),
        };
        if known.plans.insert(plan.digest.clone(), hint).is_none() {
            known.order.push_back(plan.digest.clone());
        }
        if known.order.len() > MAX_PLANS
            && let Some(oldest) = known.order.pop_front()
        {
            known.plans.remove(&oldest);
        }
    }

    /// What will be asked of this person's decision on the plan with this digest: nothing of the requester; of a plan that
    /// was not seen (a restart, another replica), what plans of its namespace mostly need.
    pub(crate) fn of(&self, digest: &str, username: &str, namespace: &str) -> Vec<Question> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.plans.get(digest) {
            Some(hint) if hint.requester == username => vec![],
            Some(hint) => hint.questions.clone(),
            None => usual_questions(namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use kubechat_crds::Step;
    use kubechat_crds::command_plan::Target;

    use super::*;

    fn plan(number: usize, namespaces: usize) -> CommandPlanSpec {
        let targets = (0..namespaces).map(|n| Target {
            namespace: Some(format!("n{n}")),
            ..Target::default()
        });
        let mut step: Step = serde_json::from_value(serde_json::json!({
            "id": "s", "action": "scale", "effect": "update", "level": "caution", "command": "", "targets": [],
            "rollback": {"kind": "None", "why": ""}
        }))
        .unwrap();
        step.targets = targets.collect();
        CommandPlanSpec {
            digest: format!("sha256:{number}"),
            steps: vec![step],
            ..CommandPlanSpec::default()
        }
    }

    #[test]
    fn memory_is_bounded_however_many_plans_and_namespaces_there_are() {
        let hints = Hints::default();
        let wide = plan(usize::MAX, MAX_QUESTIONS + 1);
        hints.remember(&wide);
        assert_eq!(hints.of(&wide.digest, "bob", "demo"), usual_questions("demo"));
        for number in 0..MAX_PLANS + 10 {
            hints.remember(&plan(number, 1));
            hints.remember(&plan(number, 1));
        }
        let known = hints.0.lock().unwrap();
        assert_eq!((known.order.len(), known.plans.len()), (MAX_PLANS, MAX_PLANS));
        drop(known);
        let of = |digest: &str, who: &str| hints.of(digest, who, "demo");
        assert_eq!(of("sha256:9", "bob"), usual_questions("demo"));
        assert_eq!(of("sha256:10", "bob"), approver_questions(&plan(10, 1)));
        assert_eq!(of("sha256:10", ""), [], "the requester is asked for no right");
    }
}
