//! What KubeChat may do, says and keeps: its own rights are those that ship, its logs tell no secrets, its endpoints
//! answer, and no stored object stops it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client};
use kubechat_crds::PlanPhase;
use kubechat_e2e::cluster::{Options, client_for};
use kubechat_e2e::process::Program;
use kubechat_e2e::product::{Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::crash::config_map;
use super::faults::watchful;
use super::turn::{SOON, approve, ask, ended_as, ended_turn, plan_for, says};
use crate::runner::{Ctx, Test, own, shared, with_product};

const DEMO: &str = "demo";

pub(crate) fn tests() -> Vec<Test> {
    let shared = shared![
        operator_and_webhook_hold_no_more_rights_than_shipped,
        logs_are_json_and_tell_no_prompt_and_no_token,
        health_and_metrics_answer_and_name_nobody,
        an_operator_that_reaches_no_api_server_is_alive_and_not_ready,
    ];
    [shared, own![a_stored_object_that_cannot_be_read_stops_nothing]].concat()
}

const KUBECHAT: &str = "kubechat.io";

/// What each may, and what an attacker who took one over would like to: verb, group, resource with subresource, namespace,
/// name, whether the operator may, whether the webhook may; `-` is none.
const RIGHTS: &str = "
patch               apps                         deployments                    demo            -              no  no
patch               apps                         deployments/scale              demo            -              no  no
get                 apps                         deployments                    demo            -              no  no
list                -                            pods                           -               -              yes no
get                 -                            pods                           demo            -              no  no
watch               -                            pods                           -               -              no  no
get                 -                            pods/log                       demo            -              no  no
create              -                            pods/exec                      demo            -              no  no
create              -                            pods                           kubechat-system -              no  no
delete              -                            configmaps                     demo            -              no  no
get                 -                            secrets                        demo            -              no  no
list                -                            secrets                        -               -              no  no
get                 -                            secrets                        kubechat-system other          no  no
list                -                            secrets                        kubechat-system -              no  no
get                 -                            secrets                        kubechat-system kubechat-seal  yes yes
update              -                            secrets                        kubechat-system kubechat-seal  yes no
update              -                            secrets                        kubechat-system other          no  no
delete              -                            secrets                        kubechat-system kubechat-seal  no  no
get                 -                            nodes                          -               -              no  no
create              -                            nodes/proxy                    -               -              no  no
create              -                            serviceaccounts/token          kubechat-system -              no  no
create              -                            namespaces                     -               -              no  no
delete              -                            namespaces                     -               -              no  no
list                -                            namespaces                     -               -              no  no
get                 -                            namespaces                     -               demo           yes yes
impersonate         -                            groups                         -               system:masters no  no
impersonate         -                            groups                         -               system:nodes   no  no
impersonate         -                            groups                         -               anything       no  no
impersonate         -                            groups                         -               developers     yes no
impersonate         -                            users                          -               alice          yes no
impersonate         authentication.k8s.io        userextras/scopes              -               -              no  no
impersonate         authentication.k8s.io        userextras/kubechat.io/plan    -               -              yes no
create              rbac.authorization.k8s.io    clusterrolebindings            -               -              no  no
create              rbac.authorization.k8s.io    rolebindings                   demo            -              no  no
patch               rbac.authorization.k8s.io    clusterroles                   -               kubechat-viewer no  no
list                rbac.authorization.k8s.io    rolebindings                   -               -              yes no
list                rbac.authorization.k8s.io    clusterroles                   -               -              yes no
escalate            rbac.authorization.k8s.io    clusterroles                   -               -              no  no
bind                rbac.authorization.k8s.io    clusterroles                   -               cluster-admin  no  no
patch               admissionregistration.k8s.io mutatingwebhookconfigurations  -               kubechat       yes no
patch               admissionregistration.k8s.io mutatingwebhookconfigurations  -               other          no  no
create              admissionregistration.k8s.io validatingwebhookconfigurations -              -              no  no
delete              admissionregistration.k8s.io validatingadmissionpolicies    -               -              no  no
patch               apiextensions.k8s.io         customresourcedefinitions      -               -              no  no
create              kubechat.io                  commandplans                   demo            -              yes no
update              kubechat.io                  commandplans                   demo            -              no  no
create              kubechat.io                  approvals                      demo            -              no  no
approve-destructive kubechat.io                  commandplans                   demo            -              no  no
create              kubechat.io                  chatrequests                   demo            -              no  no
patch               kubechat.io                  riskpolicies                   -               -              no  no
patch               kubechat.io                  commandplans/status            demo            -              yes no
get                 kubechat.io                  commandplans                   demo            -              yes yes
";

async fn operator_and_webhook_hold_no_more_rights_than_shipped(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let operator = client_for(&product.kubeconfig("kubechat-operator"), None).await?;
    let webhook = client_for(&product.kubeconfig("kubechat-webhook"), None).await?;
    let mut wrong = Vec::new();
    for line in RIGHTS.lines().filter(|line| !line.is_empty()) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [right @ .., operator_may, webhook_may] = columns.as_slice() else {
            bail!("no right: {line}");
        };
        for (client, expected) in [(&operator, operator_may), (&webhook, webhook_may)] {
            if may(client, right).await? != (*expected == "yes") {
                wrong.push(line);
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "the API server says otherwise of:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

async fn may(client: &Client, right: &[&str]) -> Result<bool> {
    let filled = |at: usize| {
        right
            .get(at)
            .filter(|text| **text != "-")
            .map(|text| (*text).to_owned())
    };
    let resource = filled(2).unwrap_or_default();
    let (resource, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
    let attributes = ResourceAttributes {
        verb: filled(0),
        group: filled(1),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        namespace: filled(3),
        name: filled(4),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone())
        .create(&PostParams::default(), &review)
        .await?;
    Ok(answer.status.context("a review without status")?.allowed)
}

async fn logs_are_json_and_tell_no_prompt_and_no_token(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("quiet").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    // One that is answered, one that is unclear, one that is refused, one that is executed.
    let marks = ["unheard-of-a", "unheard-of-b", "hunter2-of-c", "unheard-of-d"];
    ended_turn(
        &alice,
        &ask(&alice, &namespace, "list pods with label app=unheard-of-a").await?,
    )
    .await?;
    ended_turn(
        &alice,
        &ask(&alice, &namespace, "frobnicate the unheard-of-b").await?,
    )
    .await?;
    let secret = ask(&alice, &namespace, "list pods, password=hunter2-of-c").await;
    ensure!(secret.is_err(), "a secret was taken");
    let plan = plan_for(&alice, &namespace, "label deployment nginx tier=unheard-of-d").await?;
    approve(&alice, &plan).await?;
    ended_as(&admin, &plan, PlanPhase::Succeeded).await?;
    let tokens = tokens(&ctx)?;
    ensure!(tokens.len() >= 8, "{} tokens", tokens.len());
    for part in [Part::Operator, Part::Webhook] {
        let text = std::fs::read_to_string(product.log(part.name()))?;
        ensure!(!text.is_empty(), "the {} logs nothing", part.name());
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
            for field in ["timestamp", "level", "message", "target"] {
                ensure!(entry[field].is_string(), "no {field} in {line}");
            }
            let told = marks.iter().find(|mark| line.contains(**mark));
            ensure!(told.is_none(), "a prompt stands in the log: {line}");
            let leaked = tokens.iter().any(|token| line.contains(token.as_str()));
            ensure!(!leaked, "a token stands in the log of the {}", part.name());
        }
    }
    Ok(())
}

/// Tokens of people, service accounts and the seal key's Secret: whatever must never be printed.
fn tokens(ctx: &Ctx) -> Result<BTreeSet<String>> {
    let folder = ctx.cluster.folder();
    let people = std::fs::read_to_string(folder.join("tokens.csv"))?;
    let mut all: BTreeSet<String> = people
        .lines()
        .filter_map(|line| line.split(',').next())
        .map(str::to_owned)
        .collect();
    for account in ["kubechat-operator", "kubechat-webhook"] {
        let file = folder.join("product").join(format!("{account}.token"));
        all.insert(std::fs::read_to_string(file)?.trim().to_owned());
    }
    Ok(all)
}

async fn health_and_metrics_answer_and_name_nobody(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("metrics").await?;
    let alice = ctx.client("alice").await?;
    ended_turn(&alice, &ask(&alice, &namespace, "list pods").await?).await?;
    for (part, expected) in [
        (
            Part::Operator,
            [
                "kubechat_leader 1",
                "kubechat_audit_healthy 1",
                "kubechat_reconciles_total{",
            ],
        ),
        (
            Part::Webhook,
            [
                "kubechat_admission_total{",
                "outcome=\"allowed\"",
                "kind=\"ChatRequest\"",
            ],
        ),
    ] {
        product.wait_ready(part).await?;
        ensure!(
            product.get(part, "/healthz").await? == "ok",
            "the {} is not healthy",
            part.name()
        );
        let text = product.metrics_text(part).await?;
        says(&text, &expected)?;
        ensure!(text.trim_end().ends_with("# EOF"), "not OpenMetrics: {text}");
        for name in ["alice", namespace.as_str(), "nginx"] {
            ensure!(
                !text.contains(name),
                "{name} stands in the metrics of the {}",
                part.name()
            );
        }
    }
    Ok(())
}

async fn an_operator_that_reaches_no_api_server_is_alive_and_not_ready(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let folder = TempDir::new()?;
    let (file, log) = (folder.path().join("kubeconfig"), folder.path().join("log"));
    let kubeconfig = std::fs::read_to_string(product.kubeconfig("kubechat-operator"))?;
    // Nobody listens there.
    let nowhere = kubeconfig.replace(&ctx.cluster.server_url(), "https://127.0.0.1:1");
    ensure!(nowhere != kubeconfig, "the kubeconfig names another server");
    std::fs::write(&file, nowhere)?;
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let store = format!("sqlite:{}", folder.path().join("audit.db").display());
    let (listen, key) = (free.to_string(), product.audit_key());
    let operator = Program::new("an operator alone", product.binary(), &log)
        .args(["operator", "--namespace", "kubechat-system", "--listen", &listen])
        .args(["--audit-store", &store, "--webhook-url", "https://127.0.0.1:2"])
        .args([OsStr::new("--audit-key"), key.as_os_str()])
        .args([OsStr::new("--kubeconfig"), file.as_os_str()])
        .start()?;
    eventually(SOON, "it has tried to lead", || async {
        let said = std::fs::read_to_string(&log)?;
        ensure!(said.contains("the lease could not be taken"), "it says {said}");
        Ok(())
    })
    .await?;
    says(&answer_of(&listen, "/healthz").await?, &[" 200 ", "ok"])?;
    says(&answer_of(&listen, "/readyz").await?, &[" 503 ", "not ready yet"])?;
    ensure!(operator.is_running(), "{}", operator.log_tail());
    Ok(())
}

/// A plain answer, head and all.
async fn answer_of(address: &str, path: &str) -> Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// As after an upgrade: an object is stored that the types of this version cannot read.
async fn a_stored_object_that_cannot_be_read_stops_nothing() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        let guards = Guards::take_down(&admin).await?;
        allow_any_mode(&admin).await?;
        eventually(SOON, "an unreadable turn is stored", || store_unreadable(&admin)).await?;
        guards.put_back(&admin).await?;
        left_out(product, 1).await?;
        works(&admin, &alice, "first").await?;
        product.stop(Part::Operator).await?;
        product.resume(Part::Operator).await?;
        left_out(product, 2).await?;
        works(&admin, &alice, "second").await
    })
    .await
}

/// KubeChat's webhook configurations, taken away for a while.
struct Guards {
    mutating: MutatingWebhookConfiguration,
    validating: ValidatingWebhookConfiguration,
}

impl Guards {
    async fn take_down(admin: &Client) -> Result<Self> {
        let (mutating, validating) = (Api::all(admin.clone()), Api::all(admin.clone()));
        let mut taken = Self {
            mutating: mutating.get("kubechat").await?,
            validating: validating.get("kubechat").await?,
        };
        mutating.delete("kubechat", &DeleteParams::default()).await?;
        validating.delete("kubechat", &DeleteParams::default()).await?;
        taken.mutating.metadata.resource_version = None;
        taken.validating.metadata.resource_version = None;
        Ok(taken)
    }

    async fn put_back(&self, admin: &Client) -> Result<()> {
        Api::all(admin.clone())
            .create(&PostParams::default(), &self.mutating)
            .await?;
        Api::all(admin.clone())
            .create(&PostParams::default(), &self.validating)
            .await?;
        Ok(())
    }
}

async fn allow_any_mode(admin: &Client) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(admin.clone());
    let mut crd = serde_json::to_value(crds.get("chatrequests.kubechat.io").await?)?;
    let mode = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode");
    let mode = mode.and_then(Value::as_object_mut).context("there is no mode")?;
    mode.remove("enum").context("every mode is allowed")?;
    let params = PostParams::default();
    crds.replace("chatrequests.kubechat.io", &params, &serde_json::from_value(crd)?)
        .await?;
    Ok(())
}

/// The identity stands in it as admission would have stamped it, so that the policies let it pass.
async fn store_unreadable(admin: &Client) -> Result<()> {
    let me = Api::all(admin.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let me = me
        .status
        .and_then(|status| status.user_info)
        .context("no identity")?;
    let kind = GroupVersionKind::gvk(KUBECHAT, "v1beta1", "ChatRequest");
    let turns: Api<DynamicObject> = Api::namespaced_with(admin.clone(), DEMO, &ApiResource::from_gvk(&kind));
    let turn: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest", "metadata": {"name": "unreadable"},
        "spec": {"prompt": "list pods", "mode": "Tomorrow", "requester": me},
    }))?;
    turns.create(&PostParams::default(), &turn).await?;
    Ok(())
}

/// Waits until the operator has said so many times that it leaves an object out.
async fn left_out(product: &Product, times: usize) -> Result<()> {
    eventually(
        SOON,
        "the operator says that it leaves the object out",
        || async {
            let log = std::fs::read_to_string(product.log(Part::Operator.name()))?;
            let told = log.matches("left out of the cache").count();
            ensure!(
                told >= times && log.contains("\"unreadable\""),
                "told {told} times"
            );
            Ok(())
        },
    )
    .await
}

async fn works(admin: &Client, alice: &Client, name: &str) -> Result<()> {
    let name = format!("settings-{name}");
    config_map(admin, &name).await?;
    let plan = plan_for(alice, DEMO, &format!("label configmap {name} tier=web")).await?;
    approve(alice, &plan).await?;
    ended_as(alice, &plan, PlanPhase::Succeeded).await.map(drop)
}
