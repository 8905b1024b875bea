use kubechat_crds::Level;
use kubechat_crds::intent::{Action, IntentParams, Taint, TaintEffect};
use serde_json::{Value, json};

use super::changes_tests::{deployment, found, kind, plain};
use crate::plan::{Draft, Refusal};
use crate::risk::floor_level;

fn taint(key: &str, value: Option<&str>, effect: Option<TaintEffect>) -> Taint {
    Taint {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect,
    }
}

fn taints(taints: Vec<Taint>) -> IntentParams {
    IntentParams {
        taints,
        ..IntentParams::default()
    }
}

#[test]
fn a_taint_is_caution_unless_it_drives_pods_away() {
    let node = found(kind("", "v1", "Node", "nodes"), "n1", json!({}));
    for (effect, level) in [
        (TaintEffect::NoSchedule, Level::Caution),
        (TaintEffect::PreferNoSchedule, Level::Caution),
        (TaintEffect::NoExecute, Level::Destructive),
    ] {
        let draft = plain(
            Action::Taint,
            taints(vec![taint("a", Some("b"), Some(effect))]),
            &node,
        )
        .unwrap();
        assert_eq!(floor_level(&draft.step), level, "{effect:?}");
        assert_eq!(draft.step.rollback.action, Some(Action::Untaint));
    }
    let none = taints(vec![taint("a", None, None)]);
    assert!(matches!(
        plain(Action::Taint, none, &node),
        Err(Refusal::NeedsInput { .. })
    ));
    assert!(matches!(
        plain(Action::Taint, IntentParams::default(), &node),
        Err(Refusal::NeedsInput { .. })
    ));
    let own = taints(vec![taint(
        "node.kubernetes.io/unreachable",
        None,
        Some(TaintEffect::NoExecute),
    )]);
    assert!(matches!(
        plain(Action::Untaint, own, &node),
        Err(Refusal::Invalid(_))
    ));
    assert!(matches!(
        plain(
            Action::Taint,
            taints(vec![taint("a", None, Some(TaintEffect::NoSchedule))]),
            &deployment(None)
        ),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn taints_that_nobody_named_stay_and_a_removed_one_is_put_back_as_it_was() {
    let list = json!([{"key": "a", "value": "1", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}, {"key": "z", "effect": "NoSchedule"}]);
    let node = found(kind("", "v1", "Node", "nodes"), "n1", json!({"taints": list}));
    let patched =
        |draft: &Draft| -> Value { serde_json::from_str(draft.step.patch.as_deref().unwrap()).unwrap() };
    let off = plain(Action::Untaint, taints(vec![taint("a", None, None)]), &node).unwrap();
    assert_eq!(
        patched(&off)["spec"]["taints"],
        json!([{"key": "z", "effect": "NoSchedule"}])
    );
    assert_eq!(
        off.step.rollback.undo_of(0).unwrap().params.taints,
        [
            taint("a", Some("1"), Some(TaintEffect::NoSchedule)),
            taint("a", None, Some(TaintEffect::NoExecute))
        ]
    );
    assert_eq!(floor_level(&off.step), Level::Caution);
    let changed = plain(
        Action::Taint,
        taints(vec![taint("a", Some("2"), Some(TaintEffect::NoSchedule))]),
        &node,
    )
    .unwrap();
    assert_eq!(patched(&changed)["spec"]["taints"][0]["value"], "2");
    assert_eq!(changed.step.rollback.action, Some(Action::Taint));
    // A kubectl line replaces nothing that it does not say.
    let line = |value, overwrite| IntentParams {
        overwrite: Some(overwrite),
        ..taints(vec![taint("a", Some(value), Some(TaintEffect::NoSchedule))])
    };
    assert!(matches!(
        plain(Action::Taint, line("2", false), &node),
        Err(Refusal::Invalid(why)) if why.contains("--overwrite")
    ));
    assert!(plain(Action::Taint, line("2", true), &node).is_ok());
    assert!(matches!(
        plain(Action::Taint, line("1", false), &node),
        Err(Refusal::Nothing(_))
    ));
    for (action, params) in [
        (Action::Taint, taint("z", None, Some(TaintEffect::NoSchedule))),
        (Action::Untaint, taint("b", None, None)),
    ] {
        assert!(
            matches!(
                plain(action, taints(vec![params]), &node),
                Err(Refusal::Nothing(_))
            ),
            "{action}"
        );
    }
}
