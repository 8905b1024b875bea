//! What the catalogue makes, on a real API server, and back.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, ResourceQuota, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequestSpec, Level, PlanPhase, RequestPhase};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::demo;

use super::super::tools::{ends_as, says_prompt, undo_of, undo_plan};
use super::super::turn::{approve, approve_as_asked, ask_with, ended_as, plan_for, says, waiting_plan};
use super::changes::confirm;
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_workload_its_service_and_its_budget_are_made_and_a_made_object_is_deleted_by_rollback,
        jobs_are_made_from_an_image_and_from_a_cronjob,
        what_the_requester_may_not_make_or_exists_already_is_not_made,
        traffic_is_cut_off_and_let_in,
        a_manifest_is_applied_twice_and_taken_back_and_what_others_manage_is_not_overwritten,
        manifests_are_several_objects_and_a_dangerous_or_forbidden_one_is_told,
        limits_of_a_namespace_and_rights_in_it_are_given_from_ops_and_taken_back,
    ]
}

async fn a_workload_its_service_and_its_budget_are_made_and_a_made_object_is_deleted_by_rollback(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("make").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let say = async |prompt: &str| confirm(&alice, &plan_for(&alice, &namespace, prompt).await?).await;
    say("create deployment web with image nginx:1.28 and 2 replicas on port 8080").await?;
    demo::wait_ready(&alice, &namespace, "web", 2).await?;
    say("expose deployment web on port 80").await?;
    let service = Api::<Service>::namespaced(alice.clone(), &namespace)
        .get("web")
        .await?;
    let spec = service.spec.unwrap_or_default();
    let port = spec
        .ports
        .unwrap_or_default()
        .into_iter()
        .next()
        .unwrap_or_default();
    ensure!(
        port.port == 80 && format!("{:?}", port.target_port).contains("8080"),
        "{port:?}"
    );
    ensure!(spec.selector.unwrap_or_default().get("app").map(String::as_str) == Some("web"));

    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let made = say("create configmap settings with mode=fast and size=3").await?;
    let data = maps.get("settings").await?.data.unwrap_or_default();
    ensure!(
        data.get("mode").map(String::as_str) == Some("fast") && data.len() == 2,
        "{data:?}"
    );
    let undo = undo_plan(&alice, &made).await?;
    ensure!(undo.spec.risk.level == Level::Destructive, "{:?}", undo.spec.risk);
    approve(&bob, &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(maps.get_opt("settings").await?.is_none(), "it is still there");

    say("create pdb web for deployment web with min available 1").await?;
    let budget = Api::<PodDisruptionBudget>::namespaced(alice.clone(), &namespace)
        .get("web")
        .await?;
    let selector = budget.spec.and_then(|s| s.selector).unwrap_or_default();
    ensure!(selector.match_labels.unwrap_or_default().contains_key("app"));
    Ok(())
}

async fn jobs_are_made_from_an_image_and_from_a_cronjob(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("jobs").await?;
    let alice = ctx.client("alice").await?;
    let say = async |prompt: &str| confirm(&alice, &plan_for(&alice, &namespace, prompt).await?).await;
    say("create cronjob backup with image busybox:1.37 on schedule '0 3 1 1 *' running 'echo saved'").await?;
    let cron = Api::<CronJob>::namespaced(alice.clone(), &namespace)
        .get("backup")
        .await?;
    ensure!(cron.spec.unwrap_or_default().schedule == "0 3 1 1 *");
    say("create job manual from cronjob backup").await?;
    let job = Api::<Job>::namespaced(alice.clone(), &namespace)
        .get("manual")
        .await?;
    let text = serde_json::to_string(&job)?;
    says(&text, &["echo", "saved", "cronjob.kubernetes.io/instantiate"])
}

async fn what_the_requester_may_not_make_or_exists_already_is_not_made(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("maynot").await?;
    let alice = ctx.client("alice").await?;
    for (prompt, reason, words) in [
        (
            "create quota compute with pods=10",
            "Forbidden",
            ["may not create", "Nothing was done"],
        ),
        (
            "create configmap nginx-conf with a=b",
            "DryRunFailed",
            ["already exists", "Nothing was done"],
        ),
        ("create job manual with image NGINX", "NeedsInput", ["image", ""]),
        (
            "create job manual from cronjob absent",
            "NeedsInput",
            ["absent", "Nothing was done"],
        ),
    ] {
        let phase = if reason == "NeedsInput" {
            RequestPhase::NeedsInput
        } else {
            RequestPhase::Failed
        };
        let (_, said) = ends_as(&alice, &namespace, says_prompt(prompt), phase, reason).await?;
        says(&said, &words)?;
    }
    Ok(())
}

async fn traffic_is_cut_off_and_let_in(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("net").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let say = async |prompt: &str| confirm(&alice, &plan_for(&alice, &namespace, prompt).await?).await;
    let made = say("create network policy quiet for deployment nginx that denies all ingress").await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(alice.clone(), &namespace);
    let spec = policies.get("quiet").await?.spec.unwrap_or_default();
    ensure!(
        spec.policy_types.as_deref() == Some(&["Ingress".to_owned()]) && spec.ingress.is_none(),
        "{spec:?}"
    );
    let undo = undo_plan(&alice, &made).await?;
    approve(&bob, &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(policies.get_opt("quiet").await?.is_none(), "it is still there");

    say("create ingress front for host web.example.com to service nginx").await?;
    let front = Api::<Ingress>::namespaced(alice.clone(), &namespace)
        .get("front")
        .await?;
    says(
        &serde_json::to_string(&front.spec)?,
        &["web.example.com", "\"name\":\"nginx\""],
    )?;
    let wrong = says_prompt("create ingress other for host web.example.com to service nginx on port 4711");
    let (_, said) = ends_as(&alice, &namespace, wrong, RequestPhase::NeedsInput, "NeedsInput").await?;
    says(&said, &["no port 4711"])
}

/// A turn of erin's about one namespace.
fn from_ops(namespace: &str, spec: ChatRequestSpec) -> ChatRequestSpec {
    ChatRequestSpec {
        scope: Some(Scope {
            namespaces: vec![namespace.to_owned()],
            ..Scope::default()
        }),
        ..spec
    }
}

async fn limits_of_a_namespace_and_rights_in_it_are_given_from_ops_and_taken_back(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("rights").await?;
    let (erin, bob, carol) = (
        ctx.client("erin").await?,
        ctx.client("bob").await?,
        ctx.client("carol").await?,
    );
    let plan_of = async |spec: ChatRequestSpec| {
        let turn = ask_with(&erin, OPS, from_ops(&namespace, spec)).await?;
        waiting_plan(&erin, &turn).await
    };
    for prompt in [
        "create quota compute with pods=50",
        "create limit range defaults with limits cpu=500m and requests cpu=100m",
    ] {
        let plan = plan_of(says_prompt(&format!("{prompt} in namespace {namespace}"))).await?;
        confirm(&erin, &plan).await?;
    }
    Api::<ResourceQuota>::namespaced(erin.clone(), &namespace)
        .get("compute")
        .await?;
    Api::<LimitRange>::namespaced(erin.clone(), &namespace)
        .get("defaults")
        .await?;

    let bindings: Api<RoleBinding> = Api::namespaced(erin.clone(), &namespace);
    let view = plan_of(says_prompt(&format!(
        "bind role view to user dave in namespace {namespace}"
    )))
    .await?;
    let admin = plan_of(says_prompt(&format!(
        "bind role cluster-admin to user dave in namespace {namespace}"
    )))
    .await?;
    ensure!(view.spec.risk.level == Level::Destructive, "{:?}", view.spec.risk);
    ensure!(
        admin.spec.risk.score > view.spec.risk.score,
        "{:?} {:?}",
        admin.spec.risk,
        view.spec.risk
    );
    approve_as_asked(&[&bob, &carol], &view).await?;
    let view = ended_as(&erin, &view, PlanPhase::Succeeded).await?;
    ensure!(bindings.get("view-dave").await?.role_ref.kind == "ClusterRole");
    let undo = plan_of(undo_of(&view)).await?;
    approve_as_asked(&[&bob, &carol], &undo).await?;
    ended_as(&erin, &undo, PlanPhase::Succeeded).await?;
    ensure!(
        bindings.get_opt("view-dave").await?.is_none(),
        "it is still bound"
    );

    let masters = says_prompt(&format!(
        "bind role view to group system:masters in namespace {namespace}"
    ));
    let masters = from_ops(&namespace, masters);
    let (_, said) = ends_as(&erin, OPS, masters, RequestPhase::Blocked, "ForbiddenClass").await?;
    says(&said, &["system:masters"])
}

async fn a_manifest_is_applied_twice_and_taken_back_and_what_others_manage_is_not_overwritten(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("apply").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let mode = async || {
        let data = maps.get("settings").await?.data.unwrap_or_default();
        anyhow::Ok(data.get("mode").cloned().unwrap_or_default())
    };
    let manifest = |mode: &str| {
        format!(
            "apply\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  mode: {mode}\n"
        )
    };
    let made = plan_for(&alice, &namespace, &manifest("slow")).await?;
    confirm(&alice, &made).await?;
    ensure!(mode().await? == "slow", "{}", mode().await?);

    // What KubeChat itself made by other means it may apply.
    let changed = plan_for(&alice, &namespace, &manifest("fast")).await?;
    let step = changed.spec.steps.first().cloned().context("no step")?;
    ensure!(
        changed.spec.risk.level == Level::Destructive && step.patch.is_none(),
        "{:?}",
        changed.spec
    );
    let line = step
        .diff
        .iter()
        .find(|l| l.path == "/data/mode")
        .context("no diff")?;
    ensure!(line.before.as_deref() == Some("slow") && line.after.as_deref() == Some("fast"));
    approve(&bob, &changed).await?;
    let changed = ended_as(&alice, &changed, PlanPhase::Succeeded).await?;
    ensure!(mode().await? == "fast", "{}", mode().await?);
    let managers = serde_json::to_string(&maps.get("settings").await?.metadata.managed_fields)?;
    says(
        &managers,
        &["\"manager\":\"kubechat\"", "\"operation\":\"Apply\""],
    )?;
    let (_, said) = ends_as(
        &alice,
        &namespace,
        says_prompt(&manifest("fast")),
        RequestPhase::Succeeded,
        "Answered",
    )
    .await?;
    says(&said, &["as the manifest wants it already"])?;
    let undo = undo_plan(&alice, &changed).await?;
    approve(&bob, &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(mode().await? == "slow", "{}", mode().await?);

    // What an apply made is undone by its deletion.
    let fresh = plan_for(
        &alice,
        &namespace,
        &manifest("slow").replace("name: settings", "name: fresh"),
    )
    .await?;
    confirm(&alice, &fresh).await?;
    let fresh = ended_as(&alice, &fresh, PlanPhase::Succeeded).await?;
    let gone = undo_plan(&alice, &fresh).await?;
    ensure!(gone.spec.risk.level == Level::Destructive, "{:?}", gone.spec.risk);
    approve(&bob, &gone).await?;
    ended_as(&alice, &gone, PlanPhase::Succeeded).await?;
    ensure!(maps.get_opt("fresh").await?.is_none(), "it is still there");

    // The demo's ConfigMap is somebody else's.
    let theirs =
        "apply\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: nginx-conf}\ndata: {default.conf: x}\n";
    let data = maps.get("nginx-conf").await?.data.unwrap_or_default();
    let key = data.keys().next().cloned().unwrap_or_default();
    let theirs = says_prompt(&theirs.replace("default.conf", &key));
    let (_, said) = ends_as(&alice, &namespace, theirs, RequestPhase::Failed, "DryRunFailed").await?;
    says(
        &said,
        &[
            "conflict with",
            "Nothing was done",
            "leave it out of the manifest",
        ],
    )?;
    ensure!(maps.get("nginx-conf").await?.data.unwrap_or_default() == data);
    Ok(())
}

async fn manifests_are_several_objects_and_a_dangerous_or_forbidden_one_is_told(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("applies").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let carol = ctx.client("carol").await?;
    let web = |image: &str, more: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n      - name: web\n        image: {image}\n        env: [{{name: COLOR, value: blue-of-{image}}}]\n{more}"
        )
    };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: 80}]\n";
    let both = format!("apply this\n---\n{}---\n{service}", web("nginx:1.28", ""));
    let made = plan_for(&alice, &namespace, &both).await?;
    ensure!(made.spec.steps.len() == 2, "{:?}", made.spec.steps);
    ensure!(made.spec.risk.level == Level::Caution, "{:?}", made.spec.risk);
    confirm(&alice, &made).await?;
    Api::<Service>::namespaced(alice.clone(), &namespace)
        .get("web")
        .await?;

    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let color = async || {
        let text = serde_json::to_string(&deployments.get("web").await?.spec)?;
        anyhow::Ok(text)
    };
    let changed = plan_for(&alice, &namespace, &format!("apply\n{}", web("nginx:1.29", ""))).await?;
    let diff = format!("{:?}", changed.spec.steps.first().map(|s| s.diff.clone()));
    says(&diff, &["nginx:1.29", "env/0/value"])?;
    let bound = changed
        .spec
        .steps
        .first()
        .and_then(|s| s.targets.first()?.change_digest.clone());
    ensure!(
        bound.is_some_and(|d| d.starts_with("sha256:")),
        "not bound to its values"
    );
    ensure!(!diff.contains("blue-of"), "{diff}");
    let rollback = format!("{:?}", changed.spec.steps.first().map(|s| s.rollback.clone()));
    ensure!(!rollback.contains("blue-of"), "{rollback}");
    // How many must approve depends on whether its pods are ready by now.
    approve_as_asked(&[&bob, &carol], &changed).await?;
    let changed = ended_as(&alice, &changed, PlanPhase::Succeeded).await?;
    says(&color().await?, &["blue-of-nginx:1.29"])?;
    let undo = undo_plan(&alice, &changed).await?;
    ensure!(!format!("{:?}", undo.spec).contains("blue-of"), "{:?}", undo.spec);
    approve_as_asked(&[&bob, &carol], &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    says(&color().await?, &["blue-of-nginx:1.28", "\"nginx:1.28\""])?;

    // Changed by somebody else before it is approved.
    let late = plan_for(&alice, &namespace, &format!("apply\n{}", web("nginx:1.30", ""))).await?;
    let theirs = serde_json::json!({"spec": {"minReadySeconds": 1}});
    deployments
        .patch("web", &PatchParams::default(), &Patch::Merge(&theirs))
        .await?;
    approve_as_asked(&[&bob, &carol], &late).await?;
    ended_as(&alice, &late, PlanPhase::Stale).await?;
    says(&color().await?, &["\"nginx:1.28\""])?;
    let fixed = web("nginx:1.28", "").replace("{app: web}", "{app: other}");
    let fixed = says_prompt(&format!("apply\n{fixed}"));
    let (_, said) = ends_as(&alice, &namespace, fixed, RequestPhase::Failed, "DryRunFailed").await?;
    says(&said, &["immutable", "Nothing was done"])?;

    let mighty = web("nginx:1.28", "      hostPID: true\n").replace("name: web}", "name: root}");
    let mighty = plan_for(&alice, &namespace, &format!("apply\n{mighty}")).await?;
    let reaches = |id: &str| mighty.spec.risk.factors.iter().any(|factor| factor.id == id);
    ensure!(
        mighty.spec.risk.level == Level::Destructive && reaches("floor-node-access"),
        "{:?}",
        mighty.spec.risk
    );
    // Its pods would get the traffic of Service web, and another Deployment would take over what nobody controls.
    ensure!(reaches("floor-selector-label"), "{:?}", mighty.spec.risk);
    let orphan = web("nginx:1.28", "").replace("app: web", "app: orphan");
    let template: serde_json::Value = serde_json::json!({"metadata": {"name": "orphan", "labels": {"app": "orphan"}}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "orphan"}}, "template": {"metadata": {"labels": {"app": "orphan"}},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.28"}]}}}});
    let sets: Api<ReplicaSet> = Api::namespaced(alice.clone(), &namespace);
    sets.create(&PostParams::default(), &serde_json::from_value(template)?)
        .await?;
    let orphan = orphan.replace("name: web}", "name: taker}");
    let taker = plan_for(&alice, &namespace, &format!("apply\n{orphan}")).await?;
    let taken = taker
        .spec
        .steps
        .first()
        .map(|s| s.adopts.clone())
        .unwrap_or_default();
    ensure!(
        taken == ["replicaset/orphan"] && taker.spec.risk.level == Level::Destructive,
        "{taken:?} {:?}",
        taker.spec.risk
    );
    for (prompt, phase, reason, words) in [
        (
            "apply\napiVersion: kubechat.io/v1beta1\nkind: Approval\nmetadata: {name: ok}\nspec: {decision: Approve}\n",
            RequestPhase::Blocked,
            "ForbiddenClass",
            &["never changes its own judge"][..],
        ),
        (
            "apply\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {}\n",
            RequestPhase::NeedsInput,
            "NeedsInput",
            &["Secret is not applied"],
        ),
        (
            "apply\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules: []\n",
            RequestPhase::Failed,
            "Forbidden",
            &["roles", "Nothing was done"],
        ),
        (
            "apply\napiVersion: example.io/v1\nkind: Odd\nmetadata: {name: r}\n",
            RequestPhase::Failed,
            "Invalid",
            &["no kind Odd", "Nothing was done"],
        ),
        (
            "apply\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: kube-system}\n",
            RequestPhase::Blocked,
            "OutOfScope",
            &["kube-system"],
        ),
    ] {
        let (_, said) = ends_as(&alice, &namespace, says_prompt(prompt), phase, reason).await?;
        says(&said, words)?;
    }
    Ok(())
}
