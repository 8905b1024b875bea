use kubechat_core::plan::Sidecar;
use kubechat_crds::RequestPhase;
use kubechat_crds::command_plan::Undo;
use serde_json::json;

use super::*;

/// A draft that deletes so many objects and would create them again from manifests of so many bytes.
fn deletes(objects: usize, bytes: usize) -> Draft {
    let targets: Vec<_> = (0..objects).map(|n| json!({"version": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": format!("c{n}")})).collect();
    let mut step: Step = serde_json::from_value(json!({
        "id": "s1", "action": "delete", "effect": "delete", "command": "", "level": "destructive", "targets": targets,
        "rollback": {"kind": "Recreate", "why": ""}
    }))
    .unwrap();
    step.rollback.undo = (0..objects)
        .map(|n| Undo {
            manifest: Some(format!("{n}{}", "x".repeat(bytes.saturating_sub(1)))),
            ..Undo::default()
        })
        .collect();
    Draft {
        step,
        sidecars: vec![Sidecar {
            digest: "sha256:0".into(),
            bytes: vec![1],
        }],
        before: vec![],
    }
}

#[test]
fn a_plan_larger_than_an_object_may_be_is_not_made() {
    let with = |text: usize| CommandPlanSpec {
        notes: vec!["x".repeat(text)],
        ..CommandPlanSpec::default()
    };
    let rest = serde_json::to_vec(&with(0)).unwrap().len();
    assert!(fits(&with(MAX_PLAN - rest)).is_ok());
    let Err(Stop::Halt(halted)) = fits(&with(MAX_PLAN - rest + 1)) else {
        panic!("it is made");
    };
    assert_eq!(
        (halted.phase, halted.reason),
        (RequestPhase::Blocked, "LimitExceeded")
    );
    for words in ["262145 bytes", "Nothing was done"] {
        assert!(halted.message.contains(words), "{}", halted.message);
    }
}

#[test]
fn what_one_rollback_could_not_create_again_is_not_promised() {
    for (each, limit, promised) in [
        (vec![3], 3, true),
        (vec![4], 3, false),
        (vec![2, 2], 3, false),
        (vec![2, 2], 4, true),
    ] {
        let mut drafts: Vec<Draft> = each.iter().map(|n| deletes(*n, 10)).collect();
        let guarded = risk::Guarded {
            own: "kubechat-system",
            credentials: "keys",
        };
        honest(&mut drafts, limit, guarded);
        for draft in &drafts {
            let rollback = &draft.step.rollback;
            assert_eq!(
                rollback.kind == RollbackKind::Recreate,
                promised,
                "{each:?} of {limit}"
            );
            assert_eq!(
                (rollback.undo.is_empty(), draft.sidecars.is_empty()),
                (!promised, !promised)
            );
            if !promised {
                let all: usize = each.iter().sum();
                assert!(
                    rollback
                        .why
                        .starts_with(&format!("{all} objects are more than the {limit}")),
                    "{}",
                    rollback.why
                );
            }
        }
    }
}

#[test]
fn manifests_that_would_fill_a_plan_stand_beside_it_whole_and_by_their_digest() {
    let mut few = vec![deletes(2, 100)];
    lighten(&mut few);
    assert_eq!(few[0].sidecars.len(), 1);
    assert!(
        few[0]
            .step
            .rollback
            .undo
            .iter()
            .all(|u| u.manifest_digest.is_none())
    );
    let full = deletes(10, MAX_MANIFESTS / 5);
    let before: Vec<String> = full
        .step
        .rollback
        .undo
        .iter()
        .filter_map(|u| u.manifest.clone())
        .collect();
    let mut many = vec![full];
    lighten(&mut many);
    let (undo, kept) = (&many[0].step.rollback.undo, &many[0].sidecars[1..]);
    assert_eq!((undo.len(), kept.len()), (10, 10));
    for ((undo, kept), full) in undo.iter().zip(kept).zip(before) {
        assert_eq!(undo.manifest.as_deref(), Some("{}"));
        assert_eq!(undo.manifest_digest.as_ref(), Some(&kept.digest));
        assert_eq!(
            kept.digest,
            format!("sha256:{}", kubechat_crds::sha256_hex(full.as_bytes()))
        );
        assert_eq!(kept.bytes, full.into_bytes());
    }
}
