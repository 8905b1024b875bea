//! The API server's own audit log and KubeChat's, joined in both directions: every write that KubeChat sent for somebody
//! belongs to a recorded step of the plan it names, and every recorded step is a write of that plan.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequestSpec, CommandPlan, DecisionKind, PlanPhase};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::product::{self, Product};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::tools::{freeze, says_prompt, undo_plan};
use super::turn::{approve, ask_with, audit_entries, decide, ended, ended_as, plan_for, waiting_plan};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
const OPERATOR: &str = "system:serviceaccount:kubechat-system:kubechat-operator";
const PLAN: &str = "kubechat.io/plan";
/// Asked, not stored: who am I, what may I.
const REVIEWS: [&str; 4] = [
    "selfsubjectreviews",
    "selfsubjectaccessreviews",
    "subjectaccessreviews",
    "localsubjectaccessreviews",
];
/// What the operator writes as itself.
const OWN: [&str; 5] = [
    "kubechat.io",
    "events.k8s.io",
    "coordination.k8s.io",
    "admissionregistration.k8s.io",
    "authorization.k8s.io",
];

pub(crate) fn tests() -> Vec<Test> {
    own![every_write_has_its_step_and_every_step_its_write]
}

async fn every_write_has_its_step_and_every_step_its_write() -> Result<()> {
    let options = Options {
        audit_log: true,
        ..Options::default()
    };
    with_product(options, product::Options::default(), async |cluster, product| {
        let plans = run_plans(cluster).await?;
        let log = std::fs::read_to_string(cluster.api_audit_log())?;
        let events: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let writes = writes(&events)?;
        let steps = steps(product).await?;
        let executed = plans.iter().filter(|plan| plan.executed).count();
        ensure!(
            steps.len() >= executed,
            "{} steps of {executed} plans",
            steps.len()
        );
        joined(&writes, &steps)?;
        finds_what_is_missing(&writes, &steps)?;
        for Ran {
            digest,
            writes: wanted,
            ..
        } in &plans
        {
            let sent = writes
                .iter()
                .filter(|write| write.plan == *digest && write.accepted)
                .count();
            ensure!(
                sent == *wanted,
                "{sent} writes instead of {wanted} name the plan {digest}"
            );
        }
        Ok(())
    })
    .await
}

/// A plan that came to its end.
struct Ran {
    digest: String,
    executed: bool,
    /// Writes that the API server accepted.
    writes: usize,
}

/// Plans of every kind of write, of several people, done, failed, denied and undone.
async fn run_plans(cluster: &Cluster) -> Result<Vec<Ran>> {
    let (alice, bob) = (cluster.client("alice").await?, cluster.client("bob").await?);
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), DEMO);
    for name in ["settings", "frozen"] {
        let map: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": name}, "data": {"mode": "fast"}}))?;
        maps.create(&PostParams::default(), &map).await?;
    }
    let mut ran = vec![];
    let done = |plan: &CommandPlan, writes| Ran {
        digest: plan.spec.digest.clone(),
        executed: true,
        writes,
    };

    for (prompt, writes) in [
        ("scale nginx to 3 replicas", 1),
        ("restart nginx", 1),
        ("set the image of nginx to nginx:1.28", 1),
        ("scale nginx to 4 and restart nginx", 2),
    ] {
        let plan = plan_for(&alice, DEMO, prompt).await?;
        approve(&alice, &plan).await?;
        ran.push(done(
            &ended_as(&alice, &plan, PlanPhase::Succeeded).await?,
            writes,
        ));
    }

    let plan = plan_for(&alice, DEMO, "delete configmap settings").await?;
    approve(&bob, &plan).await?;
    let deleted = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    ran.push(done(&deleted, 1));
    let undo = undo_plan(&alice, &deleted).await?;
    approve(&alice, &undo).await?;
    ran.push(done(&ended_as(&alice, &undo, PlanPhase::Succeeded).await?, 1));

    let erin = cluster.client("erin").await?;
    let cordon = ChatRequestSpec {
        scope: Some(Scope {
            namespaces: vec!["*".to_owned()],
            cluster_scoped: true,
        }),
        ..says_prompt("cordon node-1")
    };
    let plan = waiting_plan(&erin, &ask_with(&erin, OPS, cordon).await?).await?;
    approve(&bob, &plan).await?;
    ran.push(done(&ended_as(&erin, &plan, PlanPhase::Succeeded).await?, 1));

    let plan = plan_for(&alice, DEMO, "scale nginx to 9 replicas").await?;
    decide(&bob, &plan, DecisionKind::Deny).await?;
    let denied = ended_as(&alice, &plan, PlanPhase::Denied).await?;
    ran.push(Ran {
        executed: false,
        ..done(&denied, 0)
    });
    ran.push(refused_when_sent(cluster, &alice).await?);
    Ok(ran)
}

/// A step whose dry-run is accepted and whose write is not.
async fn refused_when_sent(cluster: &Cluster, alice: &Client) -> Result<Ran> {
    let admin = cluster.client("admin").await?;
    let plan = plan_for(alice, DEMO, "label configmap frozen tier=web").await?;
    freeze(&admin, DEMO, "frozen").await?;
    approve(alice, &plan).await?;
    let plan = ended(alice, &plan).await?;
    ensure!(
        plan.status.as_ref().and_then(|status| status.phase) != Some(PlanPhase::Succeeded),
        "{:?}",
        plan.status
    );
    Ok(Ran {
        digest: plan.spec.digest.clone(),
        executed: plan
            .status
            .is_some_and(|status| status.phase == Some(PlanPhase::Failed)),
        writes: 0,
    })
}

/// A write that KubeChat sent for somebody, as the API server tells it.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// The API server's id of the request.
    pub(super) audit_id: String,
    pub(super) plan: String,
    pub(super) user: String,
    namespace: String,
    name: String,
    pub(super) time: Timestamp,
    /// Status of the answer.
    pub(super) code: u64,
    pub(super) accepted: bool,
}

impl Write {
    /// The id of the step that it says it belongs to.
    pub(super) fn step(&self) -> &str {
        self.audit_id.split('.').next().unwrap_or_default()
    }
}

/// All writes of the operator that were meant to last. None of them is of its own, and none names no plan.
pub(super) fn writes(events: &[Value]) -> Result<Vec<Write>> {
    let mut writes = vec![];
    for event in events.iter().filter(|event| is_write(event)) {
        let (object, acting) = (&event["objectRef"], &event["impersonatedUser"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if acting.is_null() {
            let group = text(&object["apiGroup"]);
            let secret = object["namespace"] == "kubechat-system" && object["resource"] == "secrets";
            ensure!(
                secret || OWN.contains(&group.as_str()),
                "the operator wrote as itself: {event}"
            );
            continue;
        }
        let plan = acting["extra"][PLAN].as_array().map(Vec::as_slice);
        let [plan] = plan.unwrap_or_default() else {
            bail!("a write for {acting} names no plan: {event}");
        };
        let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
        writes.push(Write {
            audit_id: text(&event["auditID"]),
            plan: text(plan),
            user: text(&acting["username"]),
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            time: text(&event["requestReceivedTimestamp"]).parse()?,
            code,
            accepted: (200..300).contains(&code),
        });
    }
    ensure!(!writes.is_empty(), "the API server saw no write");
    Ok(writes)
}

fn is_write(event: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dry = text(&event["requestURI"]).contains("dryRun=")
        || event["requestObject"]["dryRun"]
            .as_array()
            .is_some_and(|dry| !dry.is_empty())
        || event["requestObject"]["deleteOptions"]["dryRun"].is_array();
    event["stage"] == "ResponseComplete"
        && event["user"]["username"] == OPERATOR
        && matches!(
            text(&event["verb"]).as_str(),
            "create" | "update" | "patch" | "delete"
        )
        && !REVIEWS.contains(&text(&event["objectRef"]["resource"]).as_str())
        && !dry
}

/// A step as KubeChat's log tells it.
#[derive(Clone, Debug, Default)]
struct Step {
    plan: String,
    user: String,
    intended: Option<Timestamp>,
    ended: Option<Timestamp>,
    succeeded: bool,
    /// The request that decided it, as the result names it.
    decided_by: String,
    /// Namespace and name of every target.
    targets: Vec<(String, String)>,
}

/// Steps by their id.
async fn steps(product: &Product) -> Result<BTreeMap<String, Step>> {
    // Its chain is proven; the targets stand in the payloads, which it does not print.
    let entries = audit_entries(product).await?;
    let db = Connection::open_with_flags(product.audit_db(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut steps: BTreeMap<String, Step> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["ids"]["stepId"].is_string()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let step = steps.entry(text(&entry["ids"]["stepId"])).or_default();
        let (plan, user) = (
            text(&entry["ids"]["planDigest"]),
            text(&entry["actor"]["username"]),
        );
        ensure!(
            plan.starts_with("sha256:") && entry["impersonated"] == true,
            "{entry}"
        );
        let time: Timestamp = text(&entry["time"]).parse()?;
        if entry["outcome"] == "intent" {
            ensure!(step.intended.is_none(), "a second intent: {entry}");
            let payload: String = db.query_row(
                "SELECT payload FROM payloads WHERE seq = ?1",
                [entry["seq"].as_i64()],
                |row| row.get(0),
            )?;
            let payload: Value = serde_json::from_str(&payload)?;
            ensure!(payload["digest"] == plan.as_str(), "{payload}");
            let targets = payload["targets"].as_array().into_iter().flatten();
            (step.plan, step.user, step.intended) = (plan, user, Some(time));
            step.targets = targets
                .map(|one| (text(&one["namespace"]), text(&one["name"])))
                .collect();
        } else {
            ensure!(
                step.plan == plan && step.user == user,
                "a result of another plan: {entry}"
            );
            (step.ended, step.succeeded) = (Some(time), entry["outcome"] == "success");
            step.decided_by = text(&entry["apiAuditId"]);
        }
    }
    Ok(steps)
}

fn joined(writes: &[Write], steps: &BTreeMap<String, Step>) -> Result<()> {
    let belongs = |write: &Write, id: &str, step: &Step| {
        let named = |(namespace, name): &(String, String)| {
            // A created object has no name yet in the API server's log.
            *namespace == write.namespace && (*name == write.name || write.name.is_empty())
        };
        write.step() == id
            && write.plan == step.plan
            && write.user == step.user
            && step.targets.iter().any(named)
            && step.intended.is_some_and(|from| from <= write.time)
            && step.ended.is_none_or(|until| write.time <= until)
    };
    for write in writes {
        let of = steps.iter().filter(|(id, step)| belongs(write, id, step)).count();
        ensure!(
            of == 1,
            "this write belongs to {of} recorded steps: {write:?}\n{steps:#?}"
        );
    }
    for (id, step) in steps {
        step.ended
            .with_context(|| format!("step {id} has no result: {step:?}"))?;
        let mine: Vec<&Write> = writes.iter().filter(|write| belongs(write, id, step)).collect();
        let accepted = mine.iter().filter(|write| write.accepted).count();
        ensure!(!mine.is_empty(), "nothing was sent for step {id}: {step:?}");
        let decided = mine.iter().find(|write| write.audit_id == step.decided_by);
        let decided =
            decided.with_context(|| format!("no write has the id that step {id} names: {step:?}"))?;
        ensure!(
            decided.accepted == step.succeeded,
            "{decided:?} did not decide {step:?}"
        );
        ensure!(
            !step.succeeded || accepted == step.targets.len(),
            "step {id} was done by {accepted} writes: {step:?}\n{mine:#?}"
        );
        ensure!(
            step.succeeded || accepted < step.targets.len(),
            "step {id} was done: {step:?}"
        );
    }
    Ok(())
}

/// The join finds every write and every step that either log lacks, and every one that names something else.
fn finds_what_is_missing(writes: &[Write], steps: &BTreeMap<String, Step>) -> Result<()> {
    for (at, write) in writes.iter().enumerate().filter(|(_, write)| write.accepted) {
        let mut fewer = writes.to_vec();
        fewer.remove(at);
        ensure!(joined(&fewer, steps).is_err(), "nobody missed {write:?}");
        let strange: [fn(&mut Write); 4] = [
            |write| write.audit_id.insert(0, '0'),
            |write| write.plan.push('0'),
            |write| write.user.push('x'),
            |write| write.name = "other".to_owned(),
        ];
        for change in strange {
            let mut other = writes.to_vec();
            change(&mut other[at]);
            ensure!(joined(&other, steps).is_err(), "nobody saw {:?}", other[at]);
        }
    }
    for id in steps.keys() {
        let mut other = steps.clone();
        if let Some(step) = other.get_mut(id) {
            step.decided_by.clear();
        }
        ensure!(
            joined(writes, &other).is_err(),
            "nobody missed the request of step {id}"
        );
        let mut fewer = steps.clone();
        fewer.remove(id);
        ensure!(joined(writes, &fewer).is_err(), "nobody missed step {id}");
    }
    Ok(())
}
