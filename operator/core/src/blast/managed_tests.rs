use super::*;
use crate::blast::testing::{
    deployment, graph, object, owned_by, pod, pod_facts, scale, step, wide, workload,
};
use crate::blast::walk::walk;
use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::intent::Action;
use serde_json::json;

fn question(steps: &[Step]) -> Question<'_> {
    Question {
        steps,
        namespace: "demo",
        again: false,
    }
}

fn refuses(graph: &Graph, key: &Key) -> Option<String> {
    let steps = [step(Action::Delete, std::slice::from_ref(key))];
    let question = question(&steps);
    refusal(&question, graph, &walk(&question, graph))
}

#[test]
fn protections_are_read_from_labels_and_annotations() {
    let of = |labels: Value, annotations: Value| {
        protection(&json!({"metadata": {"labels": labels, "annotations": annotations}}))
    };
    let (none, kruise) = (json!({}), |v: &str| json!({KRUISE: v}));
    let options = |v: &str| json!({ARGO_OPTIONS: v});
    for (labels, annotations, expected) in [
        (none.clone(), none.clone(), None),
        (kruise("Always"), none.clone(), Some(Protection::Always)),
        (kruise("Cascading"), none.clone(), Some(Protection::Cascading)),
        (kruise("whatever"), none.clone(), Some(Protection::Always)),
        (kruise(""), none.clone(), None),
        (none.clone(), kruise("Always"), Some(Protection::Always)),
        (none.clone(), options("Delete=confirm"), Some(Protection::Confirm)),
        (
            none.clone(),
            options("Validate=false, Prune=confirm"),
            Some(Protection::Confirm),
        ),
        (none.clone(), options("Prune=false"), None),
        (none.clone(), options("Prune=confirmed"), None),
    ] {
        assert_eq!(
            of(labels.clone(), annotations.clone()),
            expected,
            "{labels} {annotations}"
        );
    }
    assert_eq!(protection(&json!({})), None);
}

#[test]
fn managers_are_named_by_the_marks_they_leave() {
    let of = |metadata: Value| managers(&json!({ "metadata": metadata }));
    for (metadata, expected) in [
        (json!({}), vec![]),
        (
            json!({"annotations": {ARGO_TRACKING: "shop:apps/Deployment:demo/web"}}),
            vec!["Argo CD application shop"],
        ),
        (
            json!({"labels": {"argocd.argoproj.io/instance": "shop"}}),
            vec!["Argo CD application shop"],
        ),
        (
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}}),
            vec!["Flux Kustomization flux/apps"],
        ),
        (
            json!({"labels": {"helm.toolkit.fluxcd.io/name": "db", "helm.toolkit.fluxcd.io/namespace": "flux"}}),
            vec!["Flux HelmRelease flux/db"],
        ),
        (
            json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "db"}}),
            vec!["Helm release db (with its next upgrade)"],
        ),
        (
            json!({"managedFields": [{"manager": "kubectl"}, {"manager": "argocd-controller"}]}),
            vec!["Argo CD (argocd-controller)"],
        ),
        (
            json!({"managedFields": [{"manager": "kustomize-controller"}]}),
            vec!["Flux (kustomize-controller)"],
        ),
        (
            json!({"labels": {"app.kubernetes.io/managed-by": "kustomize"}}),
            vec![],
        ),
    ] {
        assert_eq!(of(metadata.clone()), expected, "{metadata}");
    }
}

#[test]
fn autoscalers_and_controllers_that_undo_a_change_are_named() {
    let mut nodes = deployment(1);
    nodes.push(object(
        "autoscaling",
        "HorizontalPodAutoscaler",
        "hpa",
        Facts::Autoscaler {
            kind: "Deployment".into(),
            name: "web".into(),
        },
    ));
    let graph = graph(nodes);
    let (top, pod) = (graph.nodes()[0].key.clone(), graph.nodes()[2].key.clone());
    let steps = [scale(&top, 5), step(Action::Delete, &[pod])];
    assert_eq!(
        undone_by(&question(&steps), &graph),
        [
            "HorizontalPodAutoscaler hpa sets the replicas of deployment/web",
            "ReplicaSet web-1 replaces pod/web-1-0"
        ]
    );
    // A label is nothing that an autoscaler undoes.
    let steps = [step(Action::Label, &[top])];
    assert!(undone_by(&question(&steps), &graph).is_empty());
}

#[test]
fn a_protected_object_is_not_deleted_whether_named_or_taken_along() {
    let mut top = workload("Deployment", "web", 0, Some(0));
    top.protection = Some(Protection::Always);
    let said = refuses(&graph([top.clone()]), &top.key).unwrap();
    assert!(
        said.contains("deployment/web is protected") && said.contains("Nothing was done"),
        "{said}"
    );
    assert!(
        said.contains("kubectl label deployment web -n demo policy.kruise.io/delete-protection-"),
        "{said}"
    );

    let mut child = owned_by(object("", "ConfigMap", "child", Facts::Plain), &top);
    child.protection = Some(Protection::Confirm);
    top.protection = None;
    let said = refuses(&graph([top.clone(), child.clone()]), &top.key).unwrap();
    assert!(
        said.contains("configmap/child, which would be deleted too,") && said.contains("Argo CD"),
        "{said}"
    );
    // What is only seen is not deleted.
    child.owners.clear();
    assert_eq!(refuses(&graph([top.clone(), child]), &top.key), None);
}

#[test]
fn cascading_protection_holds_while_something_runs_and_while_that_is_not_known() {
    let guard = |mut node: Node| {
        node.protection = Some(Protection::Cascading);
        node
    };
    let running = guard(workload("Deployment", "web", 1, Some(0)));
    assert!(refuses(&graph([running.clone()]), &running.key).is_some());
    let stopped = guard(workload("Deployment", "web", 0, Some(0)));
    assert_eq!(refuses(&graph([stopped.clone()]), &stopped.key), None);
    let mut unsure = graph([stopped.clone()]);
    unsure.missing.insert("pods: refused".into());
    assert!(refuses(&unsure, &stopped.key).is_some());

    let namespace = guard(wide("", "Namespace", "demo", Facts::Plain));
    assert_eq!(refuses(&graph([namespace.clone()]), &namespace.key), None);
    assert!(refuses(&graph([namespace.clone(), pod("p")]), &namespace.key).is_some());
    let definition = Facts::Definition {
        group: "example.org".into(),
        kind: "Widget".into(),
    };
    let definition = guard(wide(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "widgets",
        definition,
    ));
    assert_eq!(refuses(&graph([definition.clone()]), &definition.key), None);
    let widget = object("example.org", "Widget", "w", Facts::Plain);
    assert!(refuses(&graph([definition.clone(), widget]), &definition.key).is_some());
    let holder = guard(object("example.org", "Widget", "w", Facts::Plain));
    let held = owned_by(object("", "Pod", "p", pod_facts(true)), &holder);
    assert!(refuses(&graph([holder.clone(), held]), &holder.key).is_some());
}

#[test]
fn changes_other_than_deletions_pass_a_protection() {
    let mut top = workload("Deployment", "web", 2, Some(0));
    top.protection = Some(Protection::Always);
    let graph = graph([top.clone()]);
    for steps in [[scale(&top.key, 1)], [step(Action::Restart, &[top.key])]] {
        let question = question(&steps);
        assert_eq!(refusal(&question, &graph, &walk(&question, &graph)), None);
    }
}

#[test]
fn an_autoscaler_undoes_the_number_of_replicas_whatever_sets_it() {
    let top = workload("Deployment", "web", 2, Some(0));
    let hpa = Facts::Autoscaler {
        kind: "Deployment".into(),
        name: "web".into(),
    };
    let all = [
        top.clone(),
        object("autoscaling", "HorizontalPodAutoscaler", "hpa", hpa),
    ];
    let line = |target: i32, path: &str| DiffLine {
        target,
        path: path.to_owned(),
        before: Some("2".into()),
        after: Some("5".into()),
    };
    for (action, diff, undone) in [
        (Action::Patch, line(0, "/spec/replicas"), true),
        (Action::Apply, line(0, "/spec/replicas"), true),
        // Of another target.
        (Action::Patch, line(1, "/spec/replicas"), false),
        (Action::Patch, line(0, "/spec/paused"), false),
        (Action::Patch, line(0, "/spec/replicasets"), false),
        // What a plan does not show may be it.
        (
            Action::Patch,
            line(0, "(7 more changed fields are not shown)"),
            true,
        ),
    ] {
        let mut step = step(action, std::slice::from_ref(&top.key));
        step.diff = vec![diff];
        let steps = [step];
        let question = Question {
            steps: &steps,
            namespace: "demo",
            again: false,
        };
        let graph = graph(all.clone());
        let told = undone_by(&question, &graph);
        let expected = "HorizontalPodAutoscaler hpa sets the replicas of deployment/web";
        assert_eq!(
            told.iter().any(|t| t == expected),
            undone,
            "{:?}: {told:?}",
            steps[0].diff
        );
        let reads = crate::blast::wanted(&question, &graph, &crate::blast::walk::walk(&question, &graph));
        let asked = reads.iter().any(
            |need| matches!(need, crate::blast::Need::List { kind, .. } if kind == "HorizontalPodAutoscaler"),
        );
        assert_eq!(asked, undone, "{:?}", steps[0].diff);
    }
}
