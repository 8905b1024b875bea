//! What a plan hits beside what it names: shown, bound, asked again before execution, and never guessed.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::command_plan::BlastRadius;
use kubechat_crds::{ChatRequestSpec, CommandPlan, PlanPhase, RequestPhase};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::tools::{ended_unsent, ends_as, says_prompt};
use super::turn::{
    SOON, approve, approve_as_asked, ask_with, ended_as, plan_for, says, verdict, waiting_plan,
};
use crate::runner::{Ctx, Test, shared};

pub(crate) fn tests() -> Vec<Test> {
    shared![
        deleting_a_deployment_names_what_it_leaves_with_nothing,
        a_label_hits_its_object_alone_and_a_restart_loses_no_pod,
        more_pods_matched_after_approval_make_the_plan_stale_and_none_is_touched,
        what_is_as_wanted_already_keeps_no_plan_by_selector_from_its_execution,
        a_kind_that_is_hit_only_since_the_approval_makes_the_plan_stale,
        a_budget_that_is_used_up_since_the_approval_makes_the_plan_stale,
        a_protected_object_is_not_deleted_and_it_is_said_what_to_do,
        what_a_requester_may_not_list_leaves_the_radius_incomplete,
        a_deleted_claim_says_whose_data_is_lost,
        a_cordon_says_its_share_of_the_nodes_and_a_namespace_all_that_goes_with_it,
    ]
}

/// The blast radius of a plan.
fn radius(plan: &CommandPlan) -> Result<&BlastRadius> {
    plan.spec.blast_radius.as_ref().context("it has no blast radius")
}

/// Creates an object from JSON.
async fn make<K>(client: &Client, namespace: &str, object: Value) -> Result<()>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}

/// A budget of nginx, once its controller has judged it.
async fn budget(client: &Client, namespace: &str, min_available: i32) -> Result<()> {
    let spec = json!({"minAvailable": min_available, "selector": {"matchLabels": {"app": DEPLOYMENT}}});
    make::<PodDisruptionBudget>(
        client,
        namespace,
        json!({"metadata": {"name": DEPLOYMENT}, "spec": spec}),
    )
    .await?;
    let api: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    eventually(SOON, "the budget is judged", || async {
        let status = api.get(DEPLOYMENT).await?.status.context("it has no status")?;
        ensure!(
            status.current_healthy == 2,
            "it sees {} pods",
            status.current_healthy
        );
        Ok(())
    })
    .await
}

async fn deleting_a_deployment_names_what_it_leaves_with_nothing(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("blast").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    budget(&admin, &namespace, 1).await?;
    let rule = json!({"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": DEPLOYMENT, "port": {"number": 80}}}}]}});
    let ingress = json!({"metadata": {"name": "front"}, "spec": {"rules": [rule]}});
    make::<Ingress>(&admin, &namespace, ingress).await?;
    let plan = plan_for(&alice, &namespace, "delete deployment nginx").await?;
    let found = radius(&plan)?;
    let path = format!("{namespace}/{DEPLOYMENT}");
    ensure!(found.complete && found.missing.is_empty(), "{found:?}");
    let expected = json!({"Deployment": 1, "ReplicaSet": 1, "Pod": 2, "Service": 1, "PodDisruptionBudget": 1, "Ingress": 1});
    ensure!(serde_json::to_value(&found.objects)? == expected, "{found:?}");
    ensure!((found.pods_lost, found.pods_total) == (2, 2), "{found:?}");
    ensure!(found.services_at_zero == [path.as_str()], "{found:?}");
    ensure!(found.pdbs_violated == [path.as_str()], "{found:?}");
    ensure!(found.pdb_headroom == Some(0), "{found:?}");
    // Alice sees the pods of her own namespaces only; the share is one of the cluster all the same, where `demo` has as
    // many.
    ensure!((1..=50).contains(&found.pods_percent), "{found:?}");

    // Other pods behind the same Service save it.
    let pod = json!({
        "metadata": {"name": "other", "labels": {"app": DEPLOYMENT, "tier": "other"}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]},
    });
    make::<Pod>(&admin, &namespace, pod).await?;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &namespace);
    eventually(SOON, "the other pod is ready", || async {
        let status = pods.get("other").await?.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|c| c.type_ == "Ready" && c.status == "True");
        ensure!(ready, "it is not");
        Ok(())
    })
    .await?;
    let plan = plan_for(&alice, &namespace, "delete deployment nginx").await?;
    let found = radius(&plan)?;
    ensure!(
        found.pods_lost == 2 && (1..=40).contains(&found.pods_percent),
        "{found:?}"
    );
    ensure!(found.services_at_zero.is_empty(), "{found:?}");
    Ok(())
}

async fn a_label_hits_its_object_alone_and_a_restart_loses_no_pod(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("small-blast").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "label configmap nginx-conf tier=front").await?;
    let alone = BlastRadius {
        objects: [("ConfigMap".to_owned(), 1)].into(),
        complete: true,
        ..BlastRadius::default()
    };
    ensure!(*radius(&plan)? == alone, "{:?}", radius(&plan)?);
    let plan = plan_for(&alice, &namespace, "restart deployment nginx").await?;
    let found = radius(&plan)?;
    ensure!((found.pods_lost, found.pods_total) == (0, 2), "{found:?}");
    ensure!(found.services_at_zero.is_empty() && found.complete, "{found:?}");
    let plan = plan_for(&alice, &namespace, "delete configmap nginx-conf").await?;
    let found = radius(&plan)?;
    ensure!(
        (found.pods_lost, found.pods_total) == (0, 2),
        "pods that use it: {found:?}"
    );
    Ok(())
}

async fn more_pods_matched_after_approval_make_the_plan_stale_and_none_is_touched(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("grows").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let map = |n: usize| json!({"metadata": {"name": format!("m{n}"), "labels": {"batch": "x"}}});
    for n in 0..2 {
        make::<ConfigMap>(&alice, &namespace, map(n)).await?;
    }
    let plan = plan_for(&alice, &namespace, "delete configmaps -l batch=x").await?;
    ensure!(
        plan.spec.steps.iter().map(|s| s.targets.len()).sum::<usize>() == 2,
        "{:?}",
        plan.spec.steps
    );
    ensure!(
        radius(&plan)?.objects == [("ConfigMap".to_owned(), 2)].into(),
        "{:?}",
        radius(&plan)?
    );
    for n in 2..42 {
        make::<ConfigMap>(&alice, &namespace, map(n)).await?;
    }
    approve(&bob, &plan).await?;
    let ended = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    let words = [
        "the blast radius grew from 2 to 42 objects",
        "ConfigMap from 2 to 42",
        "kubechat again",
    ];
    says(&verdict(&ended)?.message, &words)?;
    let left = maps
        .list(&ListParams::default().labels("batch=x"))
        .await?
        .items
        .len();
    ensure!(left == 42, "{left} are left");

    // Three more are let pass, and are not touched either.
    for n in 5..42 {
        maps.delete(&format!("m{n}"), &DeleteParams::default()).await?;
    }
    let plan = plan_for(&alice, &namespace, "delete configmaps -l batch=x").await?;
    for n in 50..53 {
        make::<ConfigMap>(&alice, &namespace, map(n)).await?;
    }
    approve(&bob, &plan).await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    let left = maps.list(&ListParams::default().labels("batch=x")).await?;
    let mut names: Vec<_> = left.items.into_iter().filter_map(|m| m.metadata.name).collect();
    names.sort();
    ensure!(names == ["m50", "m51", "m52"], "{names:?} are left");
    Ok(())
}

async fn what_is_as_wanted_already_keeps_no_plan_by_selector_from_its_execution(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("as-wanted").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let map = |name: String, tier: &str| json!({"metadata": {"name": name, "labels": {"batch": "x", "tier": tier}}});
    for n in 0..6 {
        make::<ConfigMap>(&alice, &namespace, map(format!("front{n}"), "front")).await?;
    }
    for n in 0..2 {
        make::<ConfigMap>(&alice, &namespace, map(format!("back{n}"), "back")).await?;
    }
    let prompt = "kubectl label configmaps -l batch=x tier=front --overwrite";
    let plan = plan_for(&alice, &namespace, prompt).await?;
    let targets: Vec<_> = plan.spec.steps.iter().flat_map(|s| &s.targets).collect();
    ensure!(targets.len() == 2, "{targets:?}");
    ensure!(
        radius(&plan)?.objects == [("ConfigMap".to_owned(), 8)].into(),
        "{:?}",
        radius(&plan)?
    );
    approve(&bob, &plan).await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    let front = ListParams::default().labels("tier=front");
    ensure!(maps.list(&front).await?.items.len() == 8, "not all are labelled");

    // A selection that really grew is another matter.
    for n in 2..4 {
        make::<ConfigMap>(&alice, &namespace, map(format!("back{n}"), "back")).await?;
    }
    let plan = plan_for(&alice, &namespace, prompt).await?;
    for n in 4..8 {
        make::<ConfigMap>(&alice, &namespace, map(format!("back{n}"), "back")).await?;
    }
    approve(&bob, &plan).await?;
    let ended = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    says(
        &verdict(&ended)?.message,
        &["ConfigMap from 10 to 14", "kubechat again"],
    )?;
    ensure!(
        maps.list(&front).await?.items.len() == 8,
        "some were labelled all the same"
    );
    Ok(())
}

async fn a_kind_that_is_hit_only_since_the_approval_makes_the_plan_stale(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("new-kind").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let (bob, carol) = (ctx.client("bob").await?, ctx.client("carol").await?);
    let plan = plan_for(&alice, &namespace, "delete deployment nginx").await?;
    budget(&admin, &namespace, 1).await?;
    approve_as_asked(&[&bob, &carol], &plan).await?;
    let ended = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    says(
        &verdict(&ended)?.message,
        &["now also hits 1 PodDisruptionBudget", "Nothing was executed"],
    )?;
    Ok(())
}

/// The same objects, one of which it hurts only since.
async fn a_budget_that_is_used_up_since_the_approval_makes_the_plan_stale(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("used-up").await?;
    let (admin, alice, bob) = (
        ctx.client("admin").await?,
        ctx.client("alice").await?,
        ctx.client("bob").await?,
    );
    budget(&admin, &namespace, 1).await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 1 replica").await?;
    ensure!(
        radius(&plan)?.pdbs_violated.is_empty(),
        "{:?}",
        plan.spec.blast_radius
    );
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(admin.clone(), &namespace);
    let stricter = Patch::Merge(json!({"spec": {"minAvailable": 2}}));
    budgets
        .patch(DEPLOYMENT, &PatchParams::default(), &stricter)
        .await?;
    eventually(SOON, "the budget allows none", || async {
        let allowed = budgets
            .get(DEPLOYMENT)
            .await?
            .status
            .map(|s| s.disruptions_allowed);
        ensure!(allowed == Some(0), "it allows {allowed:?}");
        Ok(())
    })
    .await?;
    approve(&bob, &plan).await?;
    let ended = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    says(
        &verdict(&ended)?.message,
        &[
            "nginx would be violated",
            "Nothing was executed",
            "kubechat again",
        ],
    )
}

async fn a_protected_object_is_not_deleted_and_it_is_said_what_to_do(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("protected").await?;
    let alice = ctx.client("alice").await?;
    let kruise = json!({"name": "kept", "labels": {"policy.kruise.io/delete-protection": "Always"}});
    let argo = json!({"name": "asked", "annotations": {"argocd.argoproj.io/sync-options": "Validate=false,Delete=confirm"}});
    let lifted = json!({"name": "lifted", "labels": {"policy.kruise.io/delete-protection": ""}});
    for metadata in [kruise, argo, lifted] {
        make::<ConfigMap>(&alice, &namespace, json!({"metadata": metadata})).await?;
    }
    for (name, words) in [
        (
            "kept",
            [
                "policy.kruise.io/delete-protection",
                "kubectl label configmap kept",
            ],
        ),
        ("asked", ["Argo CD", "confirm"]),
    ] {
        let spec = says_prompt(&format!("delete configmap {name}"));
        let (_, message) =
            ends_as(&alice, &namespace, spec, RequestPhase::Blocked, "DeleteProtected").await?;
        says(&message, &words)?;
        says(&message, &["Nothing was done"])?;
    }
    plan_for(&alice, &namespace, "delete configmap lifted").await?;

    // Who manages an object is named.
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let managed = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}});
    maps.patch("lifted", &PatchParams::default(), &Patch::Merge(managed))
        .await?;
    let plan = plan_for(&alice, &namespace, "annotate configmap lifted owner=me").await?;
    let expected = ["Flux Kustomization flux-system/shop manages configmap/lifted"];
    ensure!(radius(&plan)?.undone_by == expected, "{:?}", radius(&plan)?);
    Ok(())
}

async fn what_a_requester_may_not_list_leaves_the_radius_incomplete(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("blind").await?;
    let (admin, dave) = (ctx.client("admin").await?, ctx.client("dave").await?);
    // Dave may delete this one kind, and loses his right to see everything else.
    let rules =
        json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "delete"]}]);
    make::<Role>(
        &admin,
        &namespace,
        json!({"metadata": {"name": "blind"}, "rules": rules}),
    )
    .await?;
    let binding = json!({
        "metadata": {"name": "blind"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "blind"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dave"}],
    });
    make::<RoleBinding>(&admin, &namespace, binding).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), &namespace);
    bindings.delete("dave-view", &DeleteParams::default()).await?;
    let pods: Api<Pod> = Api::namespaced(dave.clone(), &namespace);
    eventually(SOON, "dave may not list pods", || async {
        ensure!(pods.list(&ListParams::default()).await.is_err(), "he may");
        Ok(())
    })
    .await?;
    let plan = plan_for(&dave, &namespace, "delete deployment nginx").await?;
    let found = radius(&plan)?;
    ensure!(!found.complete, "{found:?}");
    let pods = format!("pods in {namespace}: the requester may not read them");
    ensure!(found.missing.contains(&pods), "{found:?}");
    ensure!(
        found.objects == [("Deployment".to_owned(), 1)].into(),
        "{found:?}"
    );
    Ok(())
}

async fn a_deleted_claim_says_whose_data_is_lost(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("claims").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let claim = |name: &str, volume: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": volume, "storageClassName": "",
                "resources": {"requests": {"storage": "1Gi"}}},
        })
    };
    make::<PersistentVolumeClaim>(&admin, &namespace, claim("store", "far-away")).await?;
    let plan = plan_for(&alice, &namespace, "delete pvc store").await?;
    let found = radius(&plan)?;
    let path = format!("{namespace}/store");
    ensure!(found.pvcs == [path.as_str()], "{found:?}");
    // Alice may not read volumes, so the worst is taken, and said.
    ensure!(
        found.unrecoverable_volumes == [path.as_str()] && !found.complete,
        "{found:?}"
    );
    says(&found.missing.join("; "), &["persistentvolumes"])?;
    Ok(())
}

async fn a_cordon_says_its_share_of_the_nodes_and_a_namespace_all_that_goes_with_it(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let (admin, erin) = (ctx.client("admin").await?, ctx.client("erin").await?);
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(admin.clone());
    let all = nodes.list(&ListParams::default()).await?.items;
    let first = all
        .first()
        .and_then(|n| n.metadata.name.clone())
        .context("there is no node")?;
    let ask = |prompt: String| ChatRequestSpec {
        prompt,
        scope: Some(Scope {
            namespaces: vec![],
            cluster_scoped: true,
        }),
        ..ChatRequestSpec::default()
    };
    let turn = ask_with(&erin, OPS, ask(format!("cordon node {first}"))).await?;
    let plan = waiting_plan(&erin, &turn).await?;
    let found = radius(&plan)?;
    let percent = i32::try_from(100_usize.div_ceil(all.len()))?;
    ensure!(
        found.nodes_percent == percent && found.pods_lost == 0 && found.complete,
        "{found:?}"
    );

    let name = ctx.namespace("whole").await?;
    demo::wait_ready(&admin, &name, DEPLOYMENT, demo::REPLICAS).await?;
    let turn = ask_with(&erin, OPS, ask(format!("delete namespace {name}"))).await?;
    let plan = waiting_plan(&erin, &turn).await?;
    let found = radius(&plan)?;
    for (kind, n) in [
        ("Namespace", 1),
        ("Deployment", 1),
        ("ReplicaSet", 1),
        ("Pod", 2),
        ("Service", 1),
    ] {
        ensure!(found.objects.get(kind) == Some(&n), "{kind}: {found:?}");
    }
    ensure!(
        found.objects.contains_key("ConfigMap") && found.objects.contains_key("RoleBinding"),
        "{found:?}"
    );
    ensure!(
        found.services_at_zero == [format!("{name}/{DEPLOYMENT}")],
        "{found:?}"
    );
    ensure!(found.complete && found.pods_lost == 2, "{found:?}");
    ensure!((1..=100).contains(&found.pods_percent), "{found:?}");
    ensure!(
        found.outside_namespace == found.objects.values().sum::<i64>() - 1,
        "{found:?}"
    );
    Ok(())
}
