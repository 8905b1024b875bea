//! Objects and approved plans of every action, made by the planner's own functions.

use jiff::{SignedDuration, Timestamp};
use kubechat_core::plan::actions::{create_namespace, recreate};
use kubechat_core::plan::{self, Draft, Found, KindRef, Revision};
use kubechat_core::policy::Effective;
use kubechat_core::risk;
use kubechat_crds::command_plan::{CommandPlanSpec, NamespaceFact, RequestRef, Target, Undo};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{ApprovalSpec, ChatRequestSpec, DecisionKind, Level, LocalRef, RiskPolicy, Step};
use serde_json::{Value, json};

use super::people::{person, stamped};
use super::process::{Fuse, World};

/// The cluster's UID.
pub(crate) const CLUSTER: &str = "cluster-uid";
const OURS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo";
/// Replicas before a scale.
pub(crate) const BEFORE: i32 = 2;
/// Replicas after it.
pub(crate) const AFTER: i32 = 5;

/// Path of the plan.
pub(crate) fn plan_path() -> String {
    format!("{OURS}/commandplans/plan")
}

/// Path of the turn.
pub(crate) fn turn_path() -> String {
    format!("{OURS}/chatrequests/turn")
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Scale,
    Restart,
    SetImage,
    SetResources,
    RolloutUndo,
    Label,
    LabelMany,
    Annotate,
    Cordon,
    Uncordon,
    Delete,
    DeleteMany,
    CreateNamespace,
    Recreate,
    SetEnv,
    RolloutPause,
    RolloutResume,
    Autoscale,
    AutoscaleAgain,
    Suspend,
    Resume,
    Patch,
    ExpandPvc,
    Taint,
    Untaint,
    Evict,
    EvictMany,
    Expose,
    Make(Action),
    Apply,
    ApplyAgain,
}

/// The changes that make an object of a kind.
const fn made(action: Action) -> Verb {
    Verb::Make(action)
}

impl Verb {
    pub(crate) const ALL: [Self; 41] = [
        Self::Scale,
        Self::Restart,
        Self::SetImage,
        Self::SetResources,
        Self::RolloutUndo,
        Self::Label,
        Self::LabelMany,
        Self::Annotate,
        Self::Cordon,
        Self::Uncordon,
        Self::Delete,
        Self::DeleteMany,
        Self::CreateNamespace,
        Self::Recreate,
        Self::SetEnv,
        Self::RolloutPause,
        Self::RolloutResume,
        Self::Autoscale,
        Self::AutoscaleAgain,
        Self::Suspend,
        Self::Resume,
        Self::Patch,
        Self::ExpandPvc,
        Self::Taint,
        Self::Untaint,
        Self::Evict,
        Self::EvictMany,
        Self::Expose,
        made(Action::CreateDeployment),
        made(Action::CreateConfigMap),
        made(Action::CreateJob),
        made(Action::CreateCronJob),
        made(Action::CreatePdb),
        made(Action::CreateQuota),
        made(Action::CreateServiceAccount),
        made(Action::CreateLimitRange),
        made(Action::CreateNetworkPolicy),
        made(Action::CreateIngress),
        made(Action::BindRole),
        Self::Apply,
        Self::ApplyAgain,
    ];
}

/// Path of a target.
pub(crate) fn path_of(target: &Target) -> String {
    let head = if target.group.is_empty() {
        format!("/api/{}", target.version)
    } else {
        format!("/apis/{}/{}", target.group, target.version)
    };
    let place = target
        .namespace
        .as_ref()
        .map(|n| format!("/namespaces/{n}"))
        .unwrap_or_default();
    format!("{head}{place}/{}/{}", target.resource, target.name)
}

pub(super) fn kind(group: &str, kind: &str, resource: &str, namespaced: bool) -> KindRef {
    KindRef {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        resource: resource.into(),
        namespaced,
        scalable: resource == "deployments",
    }
}

impl World {
    /// A Deployment of two replicas.
    pub(crate) fn deployment(&self, name: &str) -> Found {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "demo", "labels": {"app": name}},
            "spec": {"replicas": BEFORE, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.26"}]}}}});
        let object = self.server.put(
            &format!("/apis/apps/v1/namespaces/demo/deployments/{name}"),
            object,
        );
        Found {
            kind: kind("apps", "Deployment", "deployments", true),
            object,
        }
    }

    /// A ConfigMap.
    pub(crate) fn config_map(&self, name: &str) -> Found {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "demo"}, "data": {"a": "b"}});
        let object = self
            .server
            .put(&format!("/api/v1/namespaces/demo/configmaps/{name}"), object);
        Found {
            kind: kind("", "ConfigMap", "configmaps", true),
            object,
        }
    }

    fn node(&self, name: &str, unschedulable: bool) -> Found {
        let mut object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}});
        if unschedulable {
            object["spec"]["unschedulable"] = true.into();
        }
        let object = self.server.put(&format!("/api/v1/nodes/{name}"), object);
        Found {
            kind: kind("", "Node", "nodes", false),
            object,
        }
    }

    /// The drafts of one verb on fresh objects number `n`.
    pub(crate) fn drafts(&self, verb: Verb, n: usize) -> Vec<Draft> {
        let web = format!("web-{n}");
        let label = |params: &mut IntentParams| params.set = [("tier".to_owned(), "web".to_owned())].into();
        let mut params = IntentParams::default();
        let mut revisions = vec![];
        let many = |what: &str| -> Vec<Found> {
            (0..3)
                .map(|i| self.config_map(&format!("{what}-{n}-{i}")))
                .collect()
        };
        let (action, found) = match verb {
            Verb::Scale => {
                params.replicas = Some(AFTER);
                (Action::Scale, vec![self.deployment(&web)])
            }
            Verb::Restart => (Action::Restart, vec![self.deployment(&web)]),
            Verb::SetImage => {
                params.image = Some("nginx:1.27".into());
                (Action::SetImage, vec![self.deployment(&web)])
            }
            Verb::SetResources => {
                params.requests = [("cpu".to_owned(), "100m".to_owned())].into();
                (Action::SetResources, vec![self.deployment(&web)])
            }
            Verb::RolloutUndo => {
                let template = |image: &str| json!({"metadata": {"labels": {"app": web}}, "spec": {"containers": [{"name": "web", "image": image}]}});
                revisions = vec![
                    Revision {
                        number: 1,
                        template: template("nginx:1.25"),
                    },
                    Revision {
                        number: 2,
                        template: template("nginx:1.26"),
                    },
                ];
                (Action::RolloutUndo, vec![self.deployment(&web)])
            }
            Verb::Label => {
                label(&mut params);
                (Action::Label, vec![self.config_map(&format!("settings-{n}"))])
            }
            Verb::LabelMany => {
                label(&mut params);
                (Action::Label, many("many"))
            }
            Verb::Annotate => {
                label(&mut params);
                (Action::Annotate, vec![self.config_map(&format!("noted-{n}"))])
            }
            Verb::Cordon => (Action::Cordon, vec![self.node(&format!("node-{n}"), false)]),
            Verb::Uncordon => (Action::Uncordon, vec![self.node(&format!("idle-{n}"), true)]),
            Verb::Delete => (Action::Delete, vec![self.config_map(&format!("doomed-{n}"))]),
            Verb::DeleteMany => (Action::Delete, many("doomed")),
            Verb::EvictMany => {
                let pods = (0..3).map(|i| self.pod(&format!("pod-{n}-{i}")));
                (Action::Evict, pods.collect())
            }
            Verb::CreateNamespace => return vec![create_namespace::draft(&format!("team-{n}"), n)],
            Verb::Recreate => return vec![recreated(n)],
            Verb::SetEnv
            | Verb::RolloutPause
            | Verb::RolloutResume
            | Verb::Autoscale
            | Verb::AutoscaleAgain
            | Verb::Suspend
            | Verb::Resume
            | Verb::Patch
            | Verb::ExpandPvc
            | Verb::Taint
            | Verb::Untaint
            | Verb::Expose
            | Verb::Apply
            | Verb::ApplyAgain
            | Verb::Make(_)
            | Verb::Evict => return self.of_one(verb, n),
        };
        let intent = Intent {
            action,
            target: IntentTarget::default(),
            params,
            confidence: 100,
            span: Span::default(),
        };
        plan::draft(&intent, &found, &revisions, Timestamp::now()).unwrap()
    }

    /// Stores a turn, its approved plan of these verbs, and the policies. Returns the steps.
    pub(crate) async fn propose(&mut self, verbs: &[Verb]) -> Vec<Step> {
        let drafts = verbs
            .iter()
            .enumerate()
            .flat_map(|(n, verb)| self.drafts(*verb, n))
            .collect();
        self.approved(drafts).await
    }

    /// As [`World::propose`], of these drafts.
    pub(crate) async fn approved(&mut self, mut drafts: Vec<Draft>) -> Vec<Step> {
        let by = self.start(Fuse::long()).await;
        let mut policies: Vec<RiskPolicy> = vec![];
        for object in kubechat_crds::install::policies::objects() {
            if object["kind"] == "RiskPolicy" {
                let mut object = object;
                object["spec"]["wideScopeFrom"] = json!({});
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                let stored = self
                    .server
                    .put(&format!("/apis/kubechat.io/v1beta1/riskpolicies/{name}"), object);
                policies.push(serde_json::from_value(stored).unwrap());
            }
        }
        let alice = person("alice", &["developers"]);
        let asked = ChatRequestSpec {
            prompt: "do it".into(),
            ..ChatRequestSpec::default()
        };
        let turn = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
            "metadata": {"name": "turn", "namespace": "demo"}, "spec": serde_json::to_value(asked).unwrap()});
        let turn = stamped(&self.seal, &format!("{OURS}/chatrequests"), turn, &alice);
        let turn = self.server.put(&turn_path(), turn);
        let uid = turn["metadata"]["uid"].as_str().unwrap().to_owned();
        for (index, draft) in drafts.iter_mut().enumerate() {
            plan::finish(&mut draft.step, index);
            for sidecar in &draft.sidecars {
                by.ctx
                    .audit
                    .keep(&uid, &sidecar.digest, sidecar.bytes.clone())
                    .await
                    .unwrap();
            }
        }
        let mut spec = CommandPlanSpec {
            chat_request_ref: RequestRef {
                name: "turn".into(),
                uid,
            },
            requester: serde_json::from_value(turn["spec"]["requester"].clone()).unwrap(),
            steps: drafts.into_iter().map(|d| d.step).collect(),
            cluster_uid: CLUSTER.into(),
            ..CommandPlanSpec::default()
        };
        // Where a test made the namespace, it is recorded as the planner would; else nothing is known of it.
        if let Some(namespace) = self.server.get("/api/v1/namespaces/demo") {
            let labels = serde_json::from_value(namespace["metadata"]["labels"].clone()).unwrap();
            spec.facts.namespaces = vec![NamespaceFact {
                name: "demo".into(),
                labels,
                protected: false,
            }];
        }
        let now = Timestamp::now();
        spec.risk = risk::judge(&spec);
        spec.risk.level = spec.risk.level.max(Level::Caution);
        spec.risk.score = spec.risk.score.max(spec.risk.level.score_floor());
        let found = Effective::from_policies(&policies).unwrap().evaluate(&spec, now);
        spec.risk.score = spec.risk.score.max(found.level.score_floor());
        spec.risk.level = found.level;
        spec.requirement = found.requirement;
        spec.policies = found.records;
        let end = now.checked_add(SignedDuration::from_hours(1)).unwrap();
        spec.expires_at = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        spec.digest = spec.compute_digest().unwrap().to_string();
        let steps = spec.steps.clone();
        for who in ["bob", "carol"] {
            self.approve(who, &spec.digest);
        }
        let plan = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "CommandPlan",
            "metadata": {"name": "plan", "namespace": "demo"}, "spec": serde_json::to_value(&spec).unwrap()});
        self.server.put(&plan_path(), plan);
        let namespace = "/api/v1/namespaces/demo";
        if self.server.get(namespace).is_none() {
            let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}});
            self.server.put(namespace, made);
        }
        steps
    }

    /// Changes the stored plan as somebody could who may write whatever he likes; with the digest of the new content, which
    /// both approve, where `digested`.
    pub(crate) fn rewrite(&self, digested: bool, change: impl FnOnce(&mut CommandPlanSpec)) {
        let mut spec = self.plan().spec;
        change(&mut spec);
        if digested {
            spec.digest = spec.compute_digest().unwrap().to_string();
            for who in ["bob", "carol"] {
                self.approve(who, &spec.digest);
            }
        }
        self.server.edit(&plan_path(), |plan| {
            plan["spec"] = serde_json::to_value(&spec).unwrap();
        });
    }

    fn approve(&self, who: &str, digest: &str) {
        self.decide(who, digest, DecisionKind::Approve);
    }

    /// Stores somebody's decision on the plan with this digest, as admission leaves it.
    pub(crate) fn decide(&self, who: &str, digest: &str, decision: DecisionKind) {
        let spec = ApprovalSpec {
            plan_ref: LocalRef { name: "plan".into() },
            plan_digest: digest.to_owned(),
            decision,
            ..ApprovalSpec::default()
        };
        let approval = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "Approval",
            "metadata": {"name": who, "namespace": "demo"}, "spec": serde_json::to_value(spec).unwrap()});
        let collection = format!("{OURS}/approvals");
        let approval = stamped(&self.seal, &collection, approval, &person(who, &["approvers"]));
        self.server.put(&format!("{collection}/{who}"), approval);
    }

    /// How often each target of a step was written.
    pub(crate) fn writes(&self, step: &Step) -> Vec<usize> {
        let written = self.server.written();
        step.targets
            .iter()
            .map(|t| written.iter().filter(|w| w.path == path_of(t)).count())
            .collect()
    }

    /// The object of a target.
    pub(crate) fn object(&self, target: &Target) -> Option<Value> {
        self.server.get(&path_of(target))
    }
}

fn recreated(n: usize) -> Draft {
    let name = format!("back-{n}");
    let target = Target {
        version: "v1".into(),
        kind: "ConfigMap".into(),
        resource: "configmaps".into(),
        namespace: Some("demo".into()),
        name: name.clone(),
        ..Target::default()
    };
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "demo"}, "data": {"a": "b"}});
    let undo = Undo {
        manifest: Some(manifest.to_string()),
        ..Undo::default()
    };
    recreate::draft(&target, &undo, n).unwrap()
}
