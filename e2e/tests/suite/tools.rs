//! What the subjects share beyond [`super::turn`]: objects as raw JSON, refusals, programs run as a person would.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{GroupVersionKind, Status};
use kube::{Api, Client, Config, ResourceExt};
use kubechat_crds::condition::{find, is_finished, types};
use kubechat_crds::{
    ChatRequest, ChatRequestSpec, ChatRequestStatus, CommandPlan, LocalRef, PlanPhase, RequestPhase,
};
use kubechat_e2e::apply::Applier;
use kubechat_e2e::cluster::Cluster;
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::product::Product;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::turn::{SOON, ask_with, ended_turn, run, waiting_plan};

/// Kinds people write in namespaces, and their resources.
pub(crate) const WORK: [(&str, &str); 4] = [
    ("ChatRequest", "chatrequests"),
    ("ChatSession", "chatsessions"),
    ("Approval", "approvals"),
    ("CommandPlan", "commandplans"),
];
/// Configuration kinds, their resources, and an object of each that every cluster with KubeChat has.
pub(crate) const POLICY: [(&str, &str, Option<&str>); 4] = [
    ("RiskPolicy", "riskpolicies", Some("baseline")),
    ("AuditPolicy", "auditpolicies", Some("default")),
    ("AIProvider", "aiproviders", Some("rules")),
    ("ApproverKey", "approverkeys", None),
];
/// A public key that nobody holds the private half of.
pub(crate) const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bob@example.org";

/// An API of one of our kinds, as raw JSON. Kinds without a namespace ignore it.
pub(crate) fn raw(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(kubechat_crds::GROUP, kubechat_crds::VERSION, kind);
    let cluster = POLICY.iter().find(|(name, ..)| *name == kind);
    let plural = cluster.map(|(_, plural, _)| *plural);
    let plural = plural.or_else(|| {
        WORK.iter()
            .find(|(name, _)| *name == kind)
            .map(|(_, plural)| *plural)
    });
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural.unwrap_or_default());
    match cluster {
        Some(_) => Api::all_with(client.clone(), &resource),
        None => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// An object of one of our kinds.
pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Result<DynamicObject> {
    let metadata = match name.strip_suffix('-') {
        Some(_) => json!({"generateName": name}),
        None => json!({"name": name}),
    };
    let version = format!("{}/{}", kubechat_crds::GROUP, kubechat_crds::VERSION);
    Ok(serde_json::from_value(
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}),
    )?)
}

/// Nothing is stored, but everything is judged.
pub(crate) fn dry_run() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// Writes the spec of a stored object by a merge patch.
pub(crate) async fn change(
    api: &Api<DynamicObject>,
    name: &str,
    spec: &Value,
) -> kube::Result<DynamicObject> {
    let patch = Patch::Merge(json!({"spec": spec}));
    api.patch(name, &PatchParams::default(), &patch).await
}

/// What the API server said to something that it must refuse. Every refusal says what it says in these words.
pub(crate) fn refused<T>(what: &str, result: kube::Result<T>, code: u16, words: &[&str]) -> Result<Status> {
    let status = match result {
        Ok(_) => bail!("{what}: it was accepted"),
        Err(kube::Error::Api(status)) => *status,
        Err(other) => return Err(anyhow!(other).context(what.to_owned())),
    };
    ensure!(
        status.code == code,
        "{what}: it was refused with {} instead of {code}: {}",
        status.code,
        status.message
    );
    for word in words {
        ensure!(
            status.message.contains(word),
            "{what}: {:?} does not say {word:?}",
            status.message
        );
    }
    Ok(status)
}

/// A client of the administrator acting as somebody else, with extra attributes.
pub(crate) async fn impersonating(
    cluster: &Cluster,
    user: &str,
    groups: &[&str],
    extra: &[(&str, &str)],
) -> Result<Client> {
    let options = KubeConfigOptions {
        context: Some("admin".to_owned()),
        ..KubeConfigOptions::default()
    };
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig_path())?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.auth_info.impersonate = Some(user.to_owned());
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    config.auth_info.impersonate_groups = Some(groups);
    let extra = extra
        .iter()
        .map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]));
    config.auth_info.impersonate_user_extra = Some(extra.collect());
    Ok(Client::try_from(config)?)
}

/// Runs kubectl as somebody, with a text on its standard input.
pub(crate) async fn kubectl(cluster: &Cluster, account: &str, args: &[&str], input: &str) -> Result<Output> {
    let mut child = Command::new(cluster.binaries().kubectl())
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig_path())
        .args(["--context", account])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("kubectl does not run")?;
    let mut stdin = child.stdin.take().context("kubectl has no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    Ok(child.wait_with_output().await?)
}

/// Runs kubectl, which must succeed, and returns what it printed: (output, errors and warnings).
pub(crate) async fn kubectl_ok(
    cluster: &Cluster,
    account: &str,
    args: &[&str],
    input: &str,
) -> Result<(String, String)> {
    let output = kubectl(cluster, account, args, input).await?;
    let (out, err) = texts(&output);
    ensure!(output.status.success(), "kubectl {}: {out}{err}", args.join(" "));
    Ok((out, err))
}

/// What a program printed: (output, errors).
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Entries of the audit log about one turn. The log is not verified; see [`super::turn::audit_entries`].
pub(crate) async fn entries_of(product: &Product, turn: &ChatRequest) -> Result<Vec<Value>> {
    entries_about(product, &turn.uid().unwrap_or_default()).await
}

async fn entries_about(product: &Product, turn_uid: &str) -> Result<Vec<Value>> {
    let db = product.audit_db().display().to_string();
    let output = run(
        product,
        ["audit", "list", "--db", &db, "-o", "json", "--request", turn_uid],
    )
    .await?;
    let (out, err) = texts(&output);
    ensure!(output.status.success(), "{out}{err}");
    Ok(serde_json::from_str(&out)?)
}

/// Fails unless the audit log holds a refusal of the turn with this reason.
pub(crate) async fn recorded_refusal(product: &Product, turn: &ChatRequest, reason: &str) -> Result<()> {
    is_refused_in(&entries_of(product, turn).await?, reason)
}

/// Fails unless the audit log holds that this plan was not executed, for this reason.
pub(crate) async fn recorded_refusal_of(product: &Product, plan: &CommandPlan, reason: &str) -> Result<()> {
    let mut entries = entries_about(product, &plan.spec.chat_request_ref.uid).await?;
    let uid = plan.uid().unwrap_or_default();
    entries.retain(|entry| entry["ids"]["planUid"] == uid.as_str());
    is_refused_in(&entries, reason)
}

fn is_refused_in(entries: &[Value], reason: &str) -> Result<()> {
    let found = entries
        .iter()
        .any(|entry| entry["outcome"] == "denied" && entry["reason"] == reason);
    ensure!(found, "the audit log holds no refusal for {reason}: {entries:#?}");
    Ok(())
}

/// Status of a turn, empty if there is none.
pub(crate) fn status_of(turn: &ChatRequest) -> ChatRequestStatus {
    turn.status.clone().unwrap_or_default()
}

/// Asks, waits for the end, which must be this one, and returns the turn and the message of its end.
pub(crate) async fn ends_as(
    person: &Client,
    namespace: &str,
    spec: ChatRequestSpec,
    phase: RequestPhase,
    reason: &str,
) -> Result<(ChatRequest, String)> {
    let turn = ended_turn(person, &ask_with(person, namespace, spec).await?).await?;
    let status = status_of(&turn);
    let ended = find(&status.conditions, types::SUCCEEDED).context("it has no verdict")?;
    ensure!(
        status.phase == Some(phase) && ended.reason == reason,
        "{:?} ended as {:?}, {}: {}",
        turn.spec.prompt,
        status.phase,
        ended.reason,
        ended.message
    );
    Ok((turn.clone(), ended.message.clone()))
}

/// A sentence as a spec.
pub(crate) fn says_prompt(prompt: &str) -> ChatRequestSpec {
    ChatRequestSpec {
        prompt: prompt.to_owned(),
        ..ChatRequestSpec::default()
    }
}

/// Asks for the undoing of a plan and returns the new plan, once it waits.
pub(crate) async fn undo_plan(person: &Client, plan: &CommandPlan) -> Result<CommandPlan> {
    let turn = ask_with(person, &plan.namespace().unwrap_or_default(), undo_of(plan)).await?;
    waiting_plan(person, &turn).await
}

/// The spec that undoes a plan.
pub(crate) fn undo_of(plan: &CommandPlan) -> ChatRequestSpec {
    ChatRequestSpec {
        rollback_of: Some(LocalRef::new(plan.name_any())),
        ..ChatRequestSpec::default()
    }
}

/// The plan, whose turn and itself must have ended in this phase, and nothing of which was sent.
pub(crate) async fn ended_unsent(
    person: &Client,
    plan: &CommandPlan,
    phase: PlanPhase,
) -> Result<CommandPlan> {
    let plan = super::turn::ended_as(person, plan, phase).await?;
    let states = super::turn::steps(&plan);
    ensure!(
        states
            .iter()
            .all(|state| *state == kubechat_crds::StepState::Skipped),
        "its steps are {states:?}"
    );
    Ok(plan)
}

/// The Deployment of a namespace as JSON.
pub(crate) async fn nginx(client: &Client, namespace: &str) -> Result<Value> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    Ok(serde_json::to_value(api.get(DEPLOYMENT).await?)?)
}

/// What stands at a JSON pointer; null if nothing does.
pub(crate) fn at(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).cloned().unwrap_or(Value::Null)
}

/// Whether a turn has ended.
pub(crate) fn is_over(turn: &ChatRequest) -> bool {
    is_finished(&status_of(turn).conditions)
}

/// From now on the API server refuses changes of this ConfigMap, but not their dry-runs.
pub(crate) async fn freeze(admin: &Client, namespace: &str, name: &str) -> Result<()> {
    let policy = format!("frozen-{namespace}.e2e");
    let objects = [
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": policy},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "resourceRules": [{
                        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"],
                        "resourceNames": [name],
                    }],
                },
                "validations": [{"expression": "request.dryRun", "message": "only in earnest is it refused"}],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": policy},
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        }),
    ];
    Applier::new(admin.clone()).apply_all(&objects).await?;
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), namespace);
    eventually(SOON, &format!("changes of {name} are refused"), || async {
        // Written as it is, it stays the same version.
        let map = maps.get(name).await?;
        ensure!(
            maps.replace(name, &dry_run(), &map).await.is_ok(),
            "also a dry-run is refused"
        );
        let written = maps.replace(name, &PostParams::default(), &map).await;
        ensure!(written.is_err(), "they are not yet");
        Ok(())
    })
    .await
}
