//! What hangs on a target otherwise than by selector: autoscalers, owner references, routes of other namespaces.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use kubechat_crds::PlanPhase;
use kubechat_crds::command_plan::BlastRadius;
use kubechat_e2e::accounts::DEMO;
use kubechat_e2e::cluster::Options;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::product;
use kubechat_e2e::wait::eventually;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::tools::{ended_unsent, nginx};
use super::turn::{LATER, approve_as_asked, plan_for, says, verdict};
use crate::runner::{Ctx, Test, own, shared, with_product};

const GATEWAY: &str = "gateway.networking.k8s.io";

pub(crate) fn tests() -> Vec<Test> {
    let mut all = shared![
        an_autoscaler_is_told_of_where_a_patch_sets_its_number,
        what_a_deployment_owns_goes_with_it,
        a_target_that_got_an_owner_since_the_approval_makes_the_plan_stale,
    ];
    all.extend(own![
        a_route_of_another_namespace_is_left_with_nothing_and_who_may_not_see_it_is_told_so
    ]);
    all
}

async fn make<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}

/// The blast radius of what a person is planned.
async fn radius(person: &Client, namespace: &str, prompt: &str) -> Result<BlastRadius> {
    let plan = plan_for(person, namespace, prompt).await?;
    plan.spec.blast_radius.context("it has no blast radius")
}

/// An owner reference to nginx.
async fn to_nginx(client: &Client, namespace: &str) -> Result<Value> {
    let uid = nginx(client, namespace).await?["metadata"]["uid"].clone();
    Ok(json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT, "uid": uid}]))
}

async fn an_autoscaler_is_told_of_where_a_patch_sets_its_number(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("autoscaled").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    // It raises the number to its smallest without any metric.
    let hpa = json!({"metadata": {"name": "web"}, "spec": {"minReplicas": 3, "maxReplicas": 4,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT}}});
    make::<HorizontalPodAutoscaler>(Api::namespaced(admin.clone(), &namespace), hpa).await?;
    eventually(LATER, "the autoscaler has scaled", || async {
        let replicas = nginx(&admin, &namespace).await?["spec"]["replicas"].clone();
        ensure!(replicas == 3, "{replicas} replicas");
        Ok(())
    })
    .await?;
    for line in [
        r#"kubectl patch deployment nginx --type=merge -p '{"spec":{"replicas":1}}'"#,
        "scale nginx to 1 replica",
    ] {
        let plan = plan_for(&alice, &namespace, line).await?;
        let found = plan
            .spec
            .blast_radius
            .as_ref()
            .context("it has no blast radius")?;
        let told = "HorizontalPodAutoscaler web sets the replicas of deployment/nginx";
        ensure!(found.undone_by == [told], "{line}: {found:?}");
    }
    // The name under which the autoscaler really writes.
    let line = r#"kubectl patch deployment nginx --type=merge -p '{"spec":{"replicas":1}}'"#;
    let plan = plan_for(&alice, &namespace, line).await?;
    let owners = plan.spec.steps.iter().flat_map(|s| &s.owners);
    let owner = owners
        .filter(|o| o.field == "/spec/replicas")
        .find(|o| o.will_be_undone)
        .with_context(|| format!("nobody puts it back: {:?}", plan.spec.steps))?;
    ensure!(owner.manager == "kube-controller-manager", "{owner:?}");
    Ok(())
}

async fn what_a_deployment_owns_goes_with_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("owner").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let metadata = json!({"name": "owned", "ownerReferences": to_nginx(&admin, &namespace).await?});
    make::<ConfigMap>(
        Api::namespaced(admin.clone(), &namespace),
        json!({"metadata": metadata}),
    )
    .await?;
    make::<Secret>(
        Api::namespaced(admin.clone(), &namespace),
        json!({"metadata": metadata}),
    )
    .await?;
    let claim = json!({"metadata": metadata,
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    make::<PersistentVolumeClaim>(Api::namespaced(admin.clone(), &namespace), claim).await?;
    let found = radius(&alice, &namespace, "delete deployment nginx").await?;
    for kind in ["ConfigMap", "Secret", "PersistentVolumeClaim"] {
        ensure!(found.objects.get(kind) == Some(&1), "{kind}: {found:?}");
    }
    ensure!(found.pvcs == [format!("{namespace}/owned")], "{found:?}");
    ensure!(found.complete && found.missing.is_empty(), "{found:?}");
    Ok(())
}

async fn a_target_that_got_an_owner_since_the_approval_makes_the_plan_stale(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("adopted").await?;
    let (admin, alice, bob) = (
        ctx.client("admin").await?,
        ctx.client("alice").await?,
        ctx.client("bob").await?,
    );
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), &namespace);
    make(maps.clone(), json!({"metadata": {"name": "settings"}})).await?;
    let plan = plan_for(&alice, &namespace, "label configmap settings tier=front").await?;
    let adopted = json!({"metadata": {"ownerReferences": to_nginx(&admin, &namespace).await?}});
    let patch = kube::api::Patch::Merge(adopted);
    maps.patch("settings", &kube::api::PatchParams::default(), &patch)
        .await?;
    approve_as_asked(&[&bob], &plan).await?;
    let ended = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    says(&verdict(&ended)?.message, &["settings", "Nothing was executed"])
}

/// Defines a kind of the Gateway API, as far as it is needed here.
async fn define(admin: &Client, kind: &str, plural: &str) -> Result<()> {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({
        "metadata": {"name": format!("{plural}.{GATEWAY}"),
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/1538"}},
        "spec": {"group": GATEWAY, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    });
    make::<CustomResourceDefinition>(Api::all(admin.clone()), crd).await
}

async fn a_route_of_another_namespace_is_left_with_nothing_and_who_may_not_see_it_is_told_so() -> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, _| {
            let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
            demo::make_namespace(&admin, "edge").await?;
            define(&admin, "HTTPRoute", "httproutes").await?;
            define(&admin, "ReferenceGrant", "referencegrants").await?;
            let api = |kind: &str, namespace: &str| -> Api<DynamicObject> {
                let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GATEWAY, "v1", kind));
                Api::namespaced_with(admin.clone(), namespace, &kind)
            };
            let route = json!({"apiVersion": format!("{GATEWAY}/v1"), "kind": "HTTPRoute", "metadata": {"name": "front"},
                "spec": {"rules": [{"backendRefs": [{"name": DEPLOYMENT, "namespace": DEMO, "port": 80}]}]}});
            eventually(LATER, "routes can be made", || async {
                let there = api("HTTPRoute", "edge").get_opt("front").await?;
                match there {
                    Some(_) => Ok(()),
                    None => make(api("HTTPRoute", "edge"), route.clone()).await,
                }
            })
            .await?;
            let grant = json!({"apiVersion": format!("{GATEWAY}/v1"), "kind": "ReferenceGrant", "metadata": {"name": "edge"},
                "spec": {"from": [{"group": GATEWAY, "kind": "HTTPRoute", "namespace": "edge"}],
                    "to": [{"group": "", "kind": "Service"}]}});
            eventually(LATER, "grants can be made", || async {
                let there = api("ReferenceGrant", DEMO).get_opt("edge").await?;
                match there {
                    Some(_) => Ok(()),
                    None => make(api("ReferenceGrant", DEMO), grant.clone()).await,
                }
            })
            .await?;
            let group = "rbac.authorization.k8s.io";
            let role = |name: &str, resources: &[&str]| {
                json!({"metadata": {"name": name},
                    "rules": [{"apiGroups": [GATEWAY], "resources": resources, "verbs": ["get", "list"]}]})
            };
            let bound = |name: &str| {
                json!({"metadata": {"name": name}, "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
                    "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}]})
            };
            // She sees the grant beside her Service, and no route of the other namespace.
            make::<ClusterRole>(Api::all(admin.clone()), role("grants", &["referencegrants"])).await?;
            make::<ClusterRoleBinding>(Api::all(admin.clone()), bound("grants")).await?;
            let gap = "httproutes in edge: the requester may not read them";
            eventually(LATER, "the gap is told", || async {
                let found = radius(&alice, DEMO, "delete service nginx").await?;
                ensure!(!found.complete && found.missing.iter().any(|m| m == gap), "{found:?}");
                Ok(())
            })
            .await?;
            make::<ClusterRole>(Api::all(admin.clone()), role("routes", &["httproutes"])).await?;
            make::<ClusterRoleBinding>(Api::all(admin.clone()), bound("routes")).await?;
            eventually(LATER, "the route is told", || async {
                let found = radius(&alice, DEMO, "delete service nginx").await?;
                ensure!(found.objects.get("HTTPRoute") == Some(&1), "{found:?}");
                ensure!(found.outside_namespace == 1, "{found:?}");
                ensure!(found.complete && found.missing.is_empty(), "{found:?}");
                Ok(())
            })
            .await?;
            ensure!(api("HTTPRoute", "edge").get("front").await?.name_any() == "front", "it is gone");
            Ok(())
        },
    )
    .await
}
