//! Steps that cannot follow each other: what a step deletes, no later step can change.

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};

/// What a later step does to an object that an earlier one deletes, in words; `None` when the steps can be done in order.
#[must_use]
pub fn contradiction(steps: &[&Step]) -> Option<String> {
    let same = |a: &Target, b: &Target| {
        (&a.group, &a.kind, &a.namespace, &a.name) == (&b.group, &b.kind, &b.namespace, &b.name)
    };
    steps.iter().enumerate().find_map(|(index, earlier)| {
        let later = steps.iter().skip(index + 1);
        let deleted = earlier
            .targets
            .iter()
            .filter(|_| earlier.effect == Effect::Delete);
        let pairs = deleted.flat_map(|gone| later.clone().map(move |step| (gone, step)));
        pairs
            .filter(|(_, step)| step.effect != Effect::Create)
            .find(|(gone, step)| step.targets.iter().any(|target| same(gone, target)))
            .map(|(gone, step)| {
                format!(
                    "{} of {}/{} comes after its deletion, so it could not be done",
                    step.action,
                    gone.kind.to_lowercase(),
                    gone.name
                )
            })
    })
}

#[cfg(test)]
mod tests {
    use super::super::blank;
    use super::*;
    use kubechat_crds::intent::{Action, IntentParams};

    fn step(action: Action, effect: Effect, name: &str) -> Step {
        let target = Target {
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            ..Target::default()
        };
        blank(action, effect, vec![target], IntentParams::default())
    }

    #[test]
    fn what_is_deleted_is_not_changed_afterwards() {
        let delete = step(Action::Delete, Effect::Delete, "web");
        let scale = step(Action::Scale, Effect::Update, "web");
        let other = step(Action::Scale, Effect::Update, "api");
        let again = step(Action::Recreate, Effect::Create, "web");
        let said = contradiction(&[&delete, &other, &scale]).unwrap();
        assert_eq!(
            said,
            "scale of deployment/web comes after its deletion, so it could not be done"
        );
        assert!(contradiction(&[&delete, &delete]).is_some());
        for fine in [
            vec![&scale, &delete],
            vec![&delete, &other],
            vec![&delete, &again],
            vec![],
        ] {
            assert_eq!(contradiction(&fine), None);
        }
    }
}
