//! Snapshots of rendered plans.

use super::*;
use crate::cli::testing::{decision, now, plan as waiting, set_plan};
use kubechat_crds::PlanPhase;
use kubechat_crds::command_plan::{DiffLine, RiskFactor};

const LOOK: Look = Look {
    width: Some(100),
    color: false,
};

fn hints() -> Hints {
    Hints {
        program: "kubectl kubechat",
        namespace: "demo".into(),
        connection: " --context alice".into(),
    }
}

#[test]
fn shows_everything_an_approver_must_judge() {
    let mut shown = waiting();
    shown.spec.notes = vec!["An HPA manages nginx.".into()];
    shown.spec.steps[0].owners = vec![FieldOwner {
        field: "/spec/replicas".into(),
        manager: "argocd".into(),
        will_be_undone: true,
    }];
    shown.spec.steps[0].selected_by = vec!["Service web".into(), "PodDisruptionBudget web".into()];
    shown.spec.steps[0].adopts = vec!["replicaset/old".into()];
    let digest = "ab".repeat(32);
    assert_eq!(
        plan(&LOOK, &shown, now()),
        format!(
            "\
Plan ask-1-plan  AwaitingApproval
  asked by: alice
  expires: in 8h 0m (2026-05-01T18:00:00Z)
  digest: sha256:{digest}

Step s1  scale  caution
  $ kubectl scale deployment/nginx --replicas=5 -n demo
  object: deployment/nginx in demo
    /spec/replicas
      - 2
      + 5
  rights: patch deployments/scale.apps in demo
  selected by: Service web, PodDisruptionBudget web
  takes over: replicaset/old
  argocd writes /spec/replicas and will put it back
  undo: scales back to 2

Risk  caution  score 25 of 100
   25: Raises the number of replicas. (2 -> 5)

Approval  0/1
  - 1 person (policy baseline); the requester may confirm it
  may decide: group approvers

Notes
  - An HPA manages nginx.
"
        )
    );
    assert_eq!(
        decide_hints(&LOOK, &shown, &hints(), now()),
        "Approve: kubectl kubechat approve ask-1-plan -n demo\n\
         Deny:    kubectl kubechat deny ask-1-plan --reason '...' -n demo\n"
    );
}

#[test]
fn a_rule_that_sets_the_level_says_so_and_weights_stand_before_their_reasons() {
    let mut shown = waiting();
    shown.spec.risk.level = Level::Destructive;
    shown.spec.risk.score = 70;
    shown.spec.risk.factors = [("floor-delete", 0), ("verb", 55)]
        .map(|(id, weight)| RiskFactor {
            id: id.into(),
            weight,
            text: "removes objects".into(),
            evidence: "service/web".into(),
        })
        .into();
    let text = plan(&LOOK, &shown, now());
    let risk = "\
Risk  destructive  score 70 of 100
  at least destructive: removes objects (service/web)
   55: removes objects (service/web)
";
    assert!(text.contains(risk), "{text}");
}

#[test]
fn a_plan_that_takes_no_decision_invites_to_none() {
    let mut done = waiting();
    set_plan(&mut done, PlanPhase::Succeeded, "True", "Executed", "");
    assert_eq!(decide_hints(&LOOK, &done, &hints(), now()), "");
    let mut expired = waiting();
    expired.spec.expires_at = "2026-05-01T09:59:59Z".into();
    assert_eq!(decide_hints(&LOOK, &expired, &hints(), now()), "");
    assert!(plan(&LOOK, &expired, now()).contains("expires: expired (2026-05-01T09:59:59Z)"));
}

#[test]
fn a_step_on_many_objects_names_each_change_and_counts_what_it_leaves_out() {
    let mut many = waiting();
    let step = &mut many.spec.steps[0];
    let one = step.targets[0].clone();
    step.targets = (0..25)
        .map(|n| Target {
            name: format!("web-{n}"),
            ..one.clone()
        })
        .collect();
    step.diff = [0, 0, 24]
        .map(|target| DiffLine {
            target,
            path: "/spec/replicas".into(),
            before: None,
            after: Some("5".into()),
        })
        .to_vec();
    let text = plan(
        &Look {
            width: None,
            color: false,
        },
        &many,
        now(),
    );
    assert!(text.contains("web-19 in demo, and 5 more\n"), "{text}");
    let change = "    /spec/replicas\n      + 5\n";
    assert!(
        text.contains(&format!(
            "  deployment/web-0 in demo\n{change}{change}  deployment/web-24 in demo\n{change}"
        )),
        "{text}"
    );
}

#[test]
fn what_cannot_be_undone_and_what_is_not_allowed_stand_out() {
    let mut bad = waiting();
    let step = &mut bad.spec.steps[0];
    step.rollback.kind = RollbackKind::None;
    step.rollback.why = "the data is gone".into();
    step.access[0].allowed = false;
    step.access[0].namespace = None;
    bad.spec.requirement[0] = Requirement {
        policy: "strict".into(),
        rule: Some("two".into()),
        count: 2,
        groups: vec!["sre".into()],
        users: vec!["carol".into()],
        self_confirm: false,
        signature: true,
        break_glass: vec![],
    };
    bad.status
        .as_mut()
        .unwrap()
        .approvals
        .as_mut()
        .unwrap()
        .eligible
        .clear();
    let colored = plan(
        &Look {
            width: None,
            color: true,
        },
        &bad,
        now(),
    );
    assert!(
        colored.contains("\u{1b}[31mthe data is gone\u{1b}[0m"),
        "{colored}"
    );
    assert!(
        colored.contains("\u{1b}[31mpatch deployments/scale.apps cluster-wide (NOT ALLOWED)\u{1b}[0m"),
        "{colored}"
    );
    assert!(
        colored.contains("\u{1b}[31m- 2\u{1b}[0m") && colored.contains("\u{1b}[32m+ 5\u{1b}[0m"),
        "{colored}"
    );
    assert!(
        colored.contains("- 2 people of group sre, user carol (policy strict, rule two); signed"),
        "{colored}"
    );
    assert!(
        colored.contains("whoever may approve-caution commandplans.kubechat.io"),
        "{colored}"
    );
}

#[test]
fn decisions_that_are_there_are_listed() {
    let mut decided = waiting();
    decided
        .status
        .as_mut()
        .unwrap()
        .approvals
        .as_mut()
        .unwrap()
        .decisions = vec![decision("bob")];
    assert!(
        plan(&LOOK, &decided, now()).contains("\n  bob approved it (approve-bob, 2026-05-01T10:01:00Z)\n")
    );
}

#[test]
fn no_text_of_the_plan_reaches_the_terminal_raw() {
    let evil = "x\u{1b}[2J\u{202e}\u{200b}";
    let mut bad = waiting();
    bad.spec.requester.username = evil.into();
    bad.spec.notes = vec![evil.into()];
    bad.spec.risk.factors[0].text = evil.into();
    bad.spec.risk.factors[0].evidence = evil.into();
    let step = &mut bad.spec.steps[0];
    step.command = evil.into();
    step.rollback.why = evil.into();
    step.targets[0].name = evil.into();
    step.diff[0].before = Some(evil.into());
    step.diff[0].after = Some(format!("{evil}\nline two"));
    bad.spec.requirement[0].policy = evil.into();
    let text = plan(&LOOK, &bad, now());
    assert!(super::super::escape::is_safe(&text), "{text:?}");
    assert!(text.matches("\\u{1b}[2J").count() >= 9, "{text}");
}

#[test]
fn the_blast_radius_is_shown_in_names_and_numbers() {
    let mut shown = waiting();
    shown.spec.blast_radius = Some(kubechat_crds::command_plan::BlastRadius {
        objects: [("Deployment".to_owned(), 1), ("Pod".to_owned(), 2)].into(),
        pods_lost: 2,
        pods_total: 2,
        pods_percent: 40,
        services_at_zero: vec!["demo/nginx".into()],
        pdbs_violated: vec!["demo/nginx".into()],
        undone_by: vec!["Argo CD application shop manages deployment/nginx".into()],
        missing: vec!["ingresses in demo: the requester may not read them".into()],
        ..Default::default()
    });
    let text = plan(&LOOK, &shown, now());
    let expected = "
Blast radius
  - reaches 3 object(s): 1 Deployment, 2 Pod
  - ready pods lost: 2 (of 2 pods reached, 40 % of the cluster's)
  - left with no endpoint: Service demo/nginx
  - violated: PodDisruptionBudget demo/nginx
  - Argo CD application shop manages deployment/nginx
  - NOT COMPLETE, there may be more: ingresses in demo: the requester may not read them
";
    assert!(text.contains(expected), "{text}");
}
