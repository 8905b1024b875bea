//! Objects that a change of one object is about, and its draft.

use jiff::Timestamp;
use kubechat_core::catalogue::{self, Beside, Make};
use kubechat_core::plan::actions::{apply, make};
use kubechat_core::plan::{self, Draft, Found, KindRef, diff};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span, Taint, TaintEffect};
use serde_json::{Value, json};

use super::plans::{Verb, kind};
use super::process::World;

/// The drafts of a change that makes an object.
fn made(action: Action, name: &str) -> Vec<Draft> {
    let Some(Make::Object(kind)) = catalogue::change(action).map(|c| &c.make) else {
        panic!("{action} makes no object of a kind");
    };
    let params = IntentParams {
        image: Some("nginx:1.28".into()),
        schedule: Some("0 3 * * *".into()),
        min_available: Some("1".into()),
        limits: [("pods".to_owned(), "10".to_owned())].into(),
        set: [("a".to_owned(), "b".to_owned())].into(),
        deny: if action == Action::CreateNetworkPolicy {
            vec!["Ingress".into()]
        } else {
            vec![]
        },
        host: Some("web.example.com".into()),
        subjects: vec!["user/alice".into()],
        ..IntentParams::default()
    };
    let source = kind
        .from
        .last()
        .filter(|_| matches!(action, Action::CreateIngress | Action::BindRole));
    let source = source.map(|(group, kind)| Found {
        kind: super::plans::kind(group, kind, &format!("{}s", kind.to_lowercase()), true),
        object: json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}),
    });
    let intent = Intent {
        action,
        target: IntentTarget {
            names: vec![name.to_owned()],
            selector: Some("app=web".into()),
            ..IntentTarget::default()
        },
        params,
        confidence: 100,
        span: Span::default(),
    };
    make::drafts(&intent, kind, "demo", source.as_ref()).unwrap()
}

impl World {
    fn stored(&self, kind: KindRef, name: &str, object: Value) -> Found {
        let head = if kind.group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{}", kind.group)
        };
        let place = if kind.namespaced { "/namespaces/demo" } else { "" };
        let mut object = object;
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.clone().into();
        object["metadata"]["name"] = name.into();
        if kind.namespaced {
            object["metadata"]["namespace"] = "demo".into();
        }
        let path = format!("{head}/{}{place}/{}/{name}", kind.version, kind.resource);
        Found {
            object: self.server.put(&path, object),
            kind,
        }
    }

    fn autoscaler(&self, of: &str) -> Found {
        let mut kind = kind(
            "autoscaling",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            true,
        );
        kind.version = "v2".into();
        let spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}, "minReplicas": 1, "maxReplicas": 3});
        self.stored(kind, of, json!({"metadata": {}, "spec": spec}))
    }

    fn cron_job(&self, name: &str, suspended: bool) -> Found {
        let spec = json!({"schedule": "0 3 * * *", "suspend": suspended, "jobTemplate": {"spec": {"template": {"spec": {"containers": []}}}}});
        self.stored(
            kind("batch", "CronJob", "cronjobs", true),
            name,
            json!({"metadata": {}, "spec": spec}),
        )
    }

    fn claim(&self, name: &str) -> Found {
        let spec = json!({"resources": {"requests": {"storage": "1Gi"}}});
        let kind = kind("", "PersistentVolumeClaim", "persistentvolumeclaims", true);
        self.stored(kind, name, json!({"metadata": {}, "spec": spec}))
    }

    fn tainted(&self, name: &str, taints: &Value) -> Found {
        let spec = json!({"taints": taints});
        self.stored(
            kind("", "Node", "nodes", false),
            name,
            json!({"metadata": {}, "spec": spec}),
        )
    }

    pub(super) fn pod(&self, name: &str) -> Found {
        let owner = json!([{"kind": "ReplicaSet", "name": "web-1", "controller": true}]);
        let object = json!({"metadata": {"ownerReferences": owner}, "spec": {"containers": []}});
        self.stored(kind("", "Pod", "pods", true), name, object)
    }

    fn paused(&self, name: &str) -> Found {
        let found = self.deployment(name);
        self.server.edit(
            &format!("/apis/apps/v1/namespaces/demo/deployments/{name}"),
            |o| o["spec"]["paused"] = true.into(),
        );
        let path = format!("/apis/apps/v1/namespaces/demo/deployments/{name}");
        Found {
            object: self.server.get(&path).unwrap(),
            ..found
        }
    }

    /// The drafts of a change of one object that has its own form.
    pub(super) fn of_one(&self, verb: Verb, n: usize) -> Vec<Draft> {
        let name = format!("one-{n}");
        let mut params = IntentParams::default();
        let mut related = vec![];
        let taint = || Taint {
            key: "dedicated".into(),
            value: Some("gpu".into()),
            effect: Some(TaintEffect::NoSchedule),
        };
        let (action, found) = match verb {
            Verb::SetEnv => {
                params.set = [("LOG_LEVEL".to_owned(), "debug".to_owned())].into();
                (Action::SetEnv, self.deployment(&name))
            }
            Verb::RolloutPause => (Action::RolloutPause, self.deployment(&name)),
            Verb::RolloutResume => (Action::RolloutResume, self.paused(&name)),
            Verb::Autoscale | Verb::AutoscaleAgain => {
                params.max_replicas = Some(5);
                if verb == Verb::AutoscaleAgain {
                    related.push(self.autoscaler(&name));
                }
                (Action::Autoscale, self.deployment(&name))
            }
            Verb::Suspend => (Action::Suspend, self.cron_job(&name, false)),
            Verb::Resume => (Action::Resume, self.cron_job(&name, true)),
            Verb::Patch => {
                params.patch = Some(r#"{"data":{"a":"c"}}"#.into());
                (Action::Patch, self.config_map(&name))
            }
            Verb::ExpandPvc => {
                params.size = Some("2Gi".into());
                (Action::ExpandPvc, self.claim(&name))
            }
            Verb::Taint => {
                params.taints = vec![taint()];
                (Action::Taint, self.tainted(&name, &json!([])))
            }
            Verb::Untaint => {
                params.taints = vec![taint()];
                let there = json!([{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]);
                (Action::Untaint, self.tainted(&name, &there))
            }
            Verb::Evict => (Action::Evict, self.pod(&name)),
            Verb::Expose => {
                params.port = Some(80);
                (Action::Expose, self.deployment(&name))
            }
            Verb::Apply => {
                let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}});
                let kind = kind("", "ConfigMap", "configmaps", true);
                return vec![apply::create(&kind, Some("demo"), &manifest, params)];
            }
            Verb::ApplyAgain => {
                let found = self.config_map(&name);
                let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "applied"}});
                let mut after = found.object.clone();
                after["data"]["a"] = "applied".into();
                let intent = Intent {
                    action: Action::Apply,
                    target: IntentTarget::default(),
                    params: IntentParams::default(),
                    confidence: 100,
                    span: Span::default(),
                };
                let mut draft = apply::change(&intent, &found, &manifest, &after, params).unwrap();
                draft.step.diff = diff::diff(0, Some(&found.object), Some(&after));
                return vec![draft];
            }
            Verb::Make(action) => return made(action, &format!("new-{n}")),
            other => panic!("{other:?} is made elsewhere"),
        };
        let intent = Intent {
            action,
            target: IntentTarget::default(),
            params,
            confidence: 100,
            span: Span::default(),
        };
        let beside = Beside {
            related: &related,
            ..Beside::default()
        };
        plan::draft_with(&intent, &[found], beside, Timestamp::now()).unwrap()
    }
}
