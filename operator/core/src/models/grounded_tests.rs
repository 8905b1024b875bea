use serde_json::{Value, json};

use super::*;

fn intent(target: &Value, params: &Value) -> Intent {
    serde_json::from_value(json!({"action": "scale", "target": target, "params": params, "confidence": 90}))
        .unwrap()
}

fn said(prompt: &str, target: &Value, params: &Value) -> Option<&'static str> {
    invented(prompt, &["demo"], &[intent(target, params)])
}

#[test]
fn what_the_person_named_may_be_meant() {
    let none = json!({});
    assert_eq!(
        said(
            "scale WEB to 5",
            &json!({"names": ["web"]}),
            &json!({"replicas": 5})
        ),
        None
    );
    assert_eq!(
        said(
            "scale deploy/web, in team-a.",
            &json!({"names": ["web"], "namespace": "team-a"}),
            &none
        ),
        None
    );
    assert_eq!(said("list pods", &json!({"namespace": "demo"}), &none), None);
    assert_eq!(
        said("pods with app=web", &json!({"selector": "app=web"}), &none),
        None
    );
    assert_eq!(
        said(
            "use nginx:1.27 for web",
            &json!({"names": ["web"]}),
            &json!({"image": "nginx:1.27"})
        ),
        None
    );
    assert_eq!(
        said(
            "bump web to 1.27",
            &json!({"names": ["web"]}),
            &json!({"image": ":1.27"})
        ),
        None
    );
    assert_eq!(
        said(
            "label web tier=cache",
            &json!({"names": ["web"]}),
            &json!({"set": {"tier": "cache"}})
        ),
        None
    );
}

#[test]
fn what_nobody_named_is_not_taken_from_a_model() {
    let none = json!({});
    for (field, prompt, target, params) in [
        (
            "target.names",
            "scale web to 5",
            json!({"names": ["web", "db"]}),
            none.clone(),
        ),
        (
            "target.names",
            "scale web-2 to 5",
            json!({"names": ["web"]}),
            none.clone(),
        ),
        (
            "target.names",
            "scale my_web to 5",
            json!({"names": ["web"]}),
            none.clone(),
        ),
        ("target.names", "scale it", json!({"names": [""]}), none.clone()),
        (
            "target.namespace",
            "scale web",
            json!({"names": ["web"], "namespace": "prod"}),
            none.clone(),
        ),
        (
            "target.selector",
            "delete pods of web",
            json!({"selector": "app=db"}),
            none.clone(),
        ),
        (
            "params.image",
            "update web",
            json!({"names": ["web"]}),
            json!({"image": "evil.example.org/x:1"}),
        ),
        (
            "params.image",
            "update web to nginx",
            json!({"names": ["web"]}),
            json!({"image": "nginx:1.0"}),
        ),
        (
            "params.container",
            "logs of web",
            json!({"names": ["web"]}),
            json!({"container": "istio"}),
        ),
        (
            "params.set",
            "label web",
            json!({"names": ["web"]}),
            json!({"set": {"tier": "cache"}}),
        ),
        (
            "params.remove",
            "unlabel web",
            json!({"names": ["web"]}),
            json!({"remove": ["tier"]}),
        ),
    ] {
        assert_eq!(said(prompt, &target, &params), Some(field), "{prompt}");
    }
}

fn told(action: &str, prompt: &str, target: &Value, params: &Value) -> Option<&'static str> {
    let intent = serde_json::from_value(
        json!({"action": action, "target": target, "params": params, "confidence": 90}),
    );
    invented(prompt, &["demo"], &[intent.unwrap()])
}

#[test]
fn all_of_them_is_taken_only_where_the_person_said_so() {
    let (all, wide) = (
        json!({"kind": "Pod", "all": true}),
        json!({"names": ["web"], "allNamespaces": true}),
    );
    let none = json!({});
    assert_eq!(
        told("delete", "delete the pod web", &all, &none),
        Some("target.all")
    );
    assert_eq!(
        told("delete", "delete the small pods", &all, &none),
        Some("target.all")
    );
    assert_eq!(told("delete", "delete all pods", &all, &none), None);
    assert_eq!(told("delete", "every pod has to go", &all, &none), None);
    assert_eq!(
        told("list", "show me the pods", &all, &none),
        None,
        "a read shows, it hits nothing"
    );
    assert_eq!(
        told("restart", "restart web", &wide, &none),
        Some("target.allNamespaces")
    );
    assert_eq!(told("restart", "restart web everywhere", &wide, &none), None);
}

#[test]
fn a_number_in_figures_is_the_one_that_was_written() {
    let web = json!({"names": ["web"]});
    for (prompt, params, expected) in [
        ("scale web to 5", json!({"replicas": 5}), None),
        ("scale web to 5.", json!({"replicas": 5}), None),
        ("--replicas=5 for web", json!({"replicas": 5}), None),
        ("scale web to five", json!({"replicas": 5}), None),
        ("use 1.27 for web and three copies", json!({"replicas": 3}), None),
        ("scale web to 5", json!({"replicas": 50}), Some("a number")),
        ("scale web to 5", json!({"replicas": 0}), Some("a number")),
        (
            "let web have 2 to 9",
            json!({"minReplicas": 2, "maxReplicas": 10}),
            Some("a number"),
        ),
        ("expose web on 80", json!({"port": 8080}), Some("a number")),
        ("web back to revision 3", json!({"revision": 2}), Some("a number")),
    ] {
        assert_eq!(
            told("scale", prompt, &web, &params),
            expected,
            "{prompt} {params}"
        );
    }
}

#[test]
fn each_new_field_is_judged_too() {
    let none = json!({});
    for (field, prompt, params) in [
        ("params.from", "make a job", json!({"from": "cronjob/backup"})),
        ("params.from", "a job like role", json!({"from": "role/backup"})),
        ("params.newName", "expose web", json!({"newName": "shop"})),
        (
            "params.host",
            "an ingress for web",
            json!({"host": "evil.example.org"}),
        ),
        ("params.path", "an ingress for web", json!({"path": "/admin"})),
        (
            "params.className",
            "an ingress for web",
            json!({"className": "public"}),
        ),
        (
            "params.subjects",
            "bind view to bob",
            json!({"subjects": ["user/mallory"]}),
        ),
        (
            "params.subjects",
            "bind view to bob",
            json!({"subjects": ["group/bob", "serviceaccount/demo/x"]}),
        ),
        ("params.grants", "bind view to bob", json!({"grants": "reads"})),
        ("params.command", "a job of busybox", json!({"command": ["rm"]})),
        (
            "params.envRefs",
            "set env",
            json!({"envRefs": {"A": "secret/db/password"}}),
        ),
        ("params.taints", "taint n1", json!({"taints": [{"key": "gone"}]})),
        (
            "params.taints",
            "taint n1 with gpu",
            json!({"taints": [{"key": "gpu", "value": "gone"}]}),
        ),
        ("params.allowFrom", "allow web", json!({"allowFrom": "app=db"})),
        (
            "params.serviceType",
            "expose web",
            json!({"serviceType": "ExternalName"}),
        ),
        ("params.deny", "deny all", json!({"deny": ["Nothing"]})),
        (
            "params.patch",
            "patch web",
            json!({"patch": "{\"spec\":{\"paused\":true}}"}),
        ),
        (
            "params.limits",
            "limit it",
            json!({"limits": {"example.org/gpu": "1"}}),
        ),
        ("params.force", "delete pod web", json!({"force": true})),
        (
            "params.gracePeriodSeconds",
            "delete pod web",
            json!({"gracePeriodSeconds": 0}),
        ),
        // Not even the very letters of the prompt.
        ("params.manifest", "apply {}", json!({"manifest": "{}"})),
        ("params.text", "find redis", json!({"text": "mongo"})),
        (
            "params.otherNamespace",
            "compare web in demo and prod",
            json!({"otherNamespace": "kube-system"}),
        ),
        ("params.verb", "may I see pods", json!({"verb": "impersonate"})),
        (
            "a number",
            "diff revision 1 and 2",
            json!({"revision": 1, "toRevision": 3}),
        ),
    ] {
        assert_eq!(
            told("delete", prompt, &none, &params),
            Some(field),
            "{prompt} {params}"
        );
    }
    for (prompt, params) in [
        ("a job from the cronjob backup", json!({"from": "CronJob/backup"})),
        ("a budget for web", json!({"from": "web"})),
        ("deny all pods", json!({"from": "*", "deny": ["Ingress"]})),
        (
            "bind view to bob",
            json!({"from": "clusterrole/view", "subjects": ["user/bob"]}),
        ),
        (
            "let app demo/reader view",
            json!({"subjects": ["serviceaccount/demo/reader"]}),
        ),
        (
            "patch it: {\"spec\": {\"paused\": true}}",
            json!({"patch": "{\"spec\":{\"paused\":true}}"}),
        ),
        (
            "shop.example.org/ goes to web",
            json!({"host": "shop.example.org", "path": "/"}),
        ),
        (
            "force delete pod web",
            json!({"force": true, "gracePeriodSeconds": 0}),
        ),
        (
            "delete pod web within 30 seconds",
            json!({"gracePeriodSeconds": 30}),
        ),
        ("half a core for web", json!({"limits": {"cpu": "500m"}})),
        ("may I remove pods", json!({"verb": "delete"})),
        ("may I impersonate users", json!({"verb": "impersonate"})),
        ("find what mentions redis", json!({"text": "redis"})),
        (
            "diff revisions 1 and 2 in demo and prod",
            json!({"revision": 1, "toRevision": 2, "otherNamespace": "prod"}),
        ),
        (
            "set URL from configmap web key url",
            json!({"envRefs": {"URL": "configmap/web/url"}}),
        ),
    ] {
        assert_eq!(told("delete", prompt, &none, &params), None, "{prompt} {params}");
    }
}

#[test]
fn an_amount_a_share_or_a_time_is_one_that_the_person_said() {
    let web = json!({"names": ["web"]});
    for (field, prompt, params) in [
        (
            "params.limits",
            "limit web to 512Mi",
            json!({"limits": {"memory": "512Gi"}}),
        ),
        (
            "params.requests",
            "give web 2 cores",
            json!({"requests": {"cpu": "4"}}),
        ),
        ("params.size", "grow web to 20Gi", json!({"size": "200Gi"})),
        (
            "params.schedule",
            "run web every night at 3",
            json!({"schedule": "0 4 * * *"}),
        ),
        (
            "params.schedule",
            "run web every night at 3",
            json!({"schedule": "* * * * *"}),
        ),
        ("a number", "keep 2 of web up", json!({"minAvailable": "3"})),
        (
            "a number",
            "keep half of web up",
            json!({"maxUnavailable": "90%"}),
        ),
        (
            "params.timeoutSeconds",
            "drain web within 2 minutes",
            json!({"timeoutSeconds": 600}),
        ),
        ("a number", "two more of web", json!({"replicasDelta": 5})),
        ("a number", "web 20% bigger", json!({"replicasPercent": 300})),
        ("a number", "let web grow", json!({"cpuPercent": 80})),
        ("a number", "more of web", json!({"replicas": 3})),
        (
            "params.gracePeriodSeconds",
            "force web away",
            json!({"gracePeriodSeconds": 7}),
        ),
    ] {
        assert_eq!(
            told("scale", prompt, &web, &params),
            Some(field),
            "{prompt} {params}"
        );
    }
    for (prompt, params) in [
        ("limit web to half a gig", json!({"limits": {"memory": "512Mi"}})),
        (
            "limit web to 512 megabytes",
            json!({"limits": {"memory": "512Mi"}}),
        ),
        ("grow web to 20 gigs", json!({"size": "20Gi"})),
        ("run web at 5pm on weekdays", json!({"schedule": "0 17 * * 1-5"})),
        ("keep half of web up", json!({"minAvailable": "50%"})),
        ("drain web within 2 minutes", json!({"timeoutSeconds": 120})),
        ("two fewer of web", json!({"replicasDelta": -2})),
        ("another web", json!({"replicasDelta": 1})),
        ("double web", json!({"replicasPercent": 200})),
        ("let web grow at 80%", json!({"cpuPercent": 80})),
        ("web goes off", json!({"replicas": 0})),
    ] {
        assert_eq!(told("scale", prompt, &web, &params), None, "{prompt} {params}");
    }
}

#[test]
fn a_part_of_a_dotted_name_is_not_named_by_it() {
    let none = json!({});
    for name in ["web", "prod", "example"] {
        let target = json!({"names": [name]});
        assert_eq!(
            said("why is web.prod.example.org slow", &target, &none),
            Some("target.names"),
            "{name}"
        );
    }
    let whole = json!({"names": ["web.prod.example.org"]});
    assert_eq!(said("why is web.prod.example.org slow", &whole, &none), None);
    assert_eq!(said("it is web.", &json!({"names": ["web"]}), &none), None);
}
