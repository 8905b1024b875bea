//! What secrets travel in: logs, manifests, commands, stack traces; and manifests without any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::values::{ALNUM, Dice};

/// Something that carries a text as it is.
pub(crate) fn carry(text: &str, dice: &mut Dice) -> String {
    let (app, pod) = (
        dice.word(),
        format!(
            "{}-{}-{}",
            dice.word(),
            dice.hex(10),
            dice.letters("bcdfghjklmnpqrstvwxz", 5)
        ),
    );
    match dice.below(8) {
        0 => format!("2026-03-01T12:00:00Z INFO {app} started with {text}\n2026-03-01T12:00:01Z INFO ready"),
        1 => format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {app}\ndata:\n  app.conf: |\n    # of {app}\n    {}\n", text.replace('\n', "\n    ")),
        2 => format!("$ cd /srv/{app}\n$ {text}\nerror: exit status 1"),
        3 => format!("{}\n", json!({"ts": 1_767_225_600, "pod": pod, "msg": text})),
        4 => format!("Exception in thread \"main\" java.lang.IllegalStateException: {text}\n\tat org.example.{app}.Main.run(Main.java:42)\n"),
        5 => format!("Could you look at {pod}? It says:\n\n```\n{text}\n```\nThanks!"),
        6 => json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "annotations": {"note": text}}}).to_string(),
        _ => format!("Warning  Failed  3m  kubelet  Error: {text}"),
    }
}

/// A manifest whose structure says that a value is secret, and what must not be left of it.
pub(crate) fn structural(dice: &mut Dice) -> (&'static str, String, Vec<String>) {
    let secret = match dice.below(3) {
        0 => dice.password(),
        1 => dice.letters(ALNUM, 24),
        // Not even letters that look like a secret: only the place tells.
        _ => format!(
            "{}{}{}{}",
            dice.word(),
            dice.word(),
            dice.word(),
            dice.letters("abcdefgh", 6)
        ),
    };
    let code = STANDARD.encode(&secret);
    let name = format!("{}-db", dice.word());
    let (name_of, object) = match dice.below(12) {
        0 => (
            "Secret data",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"a": code, "b": ""}}),
        ),
        1 => (
            "Secret stringData",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"conf": format!("user=app\nvalue={secret}\n")}}),
        ),
        2 => (
            "SecretList",
            json!({"apiVersion": "v1", "kind": "SecretList", "items": [{"metadata": {"name": name}, "data": {"x": code}}]}),
        ),
        3 => (
            "List",
            json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"x": code}}, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}]}),
        ),
        4 => {
            let last =
                json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": secret}}).to_string();
            (
                "last-applied",
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}}}),
            )
        }
        5 => (
            "managedFields",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": [{"manager": secret, "operation": "Update", "fieldsV1": {"f:data": {"f:x": {}}}}], "name": name}}),
        ),
        6 => (
            "kubeconfig",
            json!({"apiVersion": "v1", "kind": "Config", "users": [{"name": "u", "user": {"client-key-data": STANDARD.encode(format!("{secret}{secret}{secret}")), "token": format!("{secret}{secret}")}}]}),
        ),
        7 => (
            "env",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:1.27", "env": [{"name": "MODE", "value": secret}, {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}}}}),
        ),
        8 => (
            "caBundle",
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "webhooks": [{"name": "w.example.org", "clientConfig": {"caBundle": STANDARD.encode(format!("-----BEGIN CERTIFICATE-----{secret}"))}}]}),
        ),
        9 => (
            "Helm release",
            json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": {"name": "sh.helm.release.v1.shop.v3"}, "data": {"release": STANDARD.encode(format!("H4sIAAAA{code}{code}"))}}),
        ),
        10 => (
            "userinfo",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"url": format!("amqp://app:{secret}@mq.example.org:5672/")}}),
        ),
        _ => (
            "registry",
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": STANDARD.encode(json!({"auths": {"r.example.org": {"auth": code}}}).to_string())}}),
        ),
    };
    let text = match dice.below(6) {
        0 => object.to_string(),
        1 => serde_json::to_string_pretty(&object).unwrap(),
        2 => yaml(&object),
        3 => format!("please look at this:\n\n{}\n\nwhy does it fail?", yaml(&object)),
        4 => format!("time=12:00 level=warn msg=rejected object={object} code=422"),
        _ => format!("---\n{}---\nkind: Service\nmetadata:\n  name: x\n", yaml(&object)),
    };
    let mut gone = vec![secret];
    gone.push(code.trim_end_matches('=').to_owned());
    (name_of, text, gone)
}

/// YAML as kubectl prints it.
pub(crate) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, item) in map {
                match item {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push_str(&format!("{pad}{key}:\n"));
                        block(item, depth + 1, out);
                    }
                    Value::Array(list) if !list.is_empty() => {
                        out.push_str(&format!("{pad}{key}:\n"));
                        block(item, depth, out);
                    }
                    Value::String(text) if text.contains('\n') => {
                        out.push_str(&format!("{pad}{key}: |\n"));
                        for line in text.lines() {
                            out.push_str(&format!("{pad}  {line}\n"));
                        }
                    }
                    other => out.push_str(&format!("{pad}{key}: {}\n", scalar(other))),
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                let mut inner = String::new();
                block(item, depth + 1, &mut inner);
                out.push_str(&format!("{pad}- {}", inner.trim_start()));
            }
        }
        other => out.push_str(&format!("{pad}{}\n", scalar(other))),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text)
            if text.is_empty() || text.starts_with(['{', '[', '*', '&', '#']) || text.contains(": ") =>
        {
            format!("'{}'", text.replace('\'', "''"))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A word that names a secret, an assignment, a value, in a line of a log; the value must not be left.
pub(crate) fn generic(dice: &mut Dice) -> (String, String) {
    let app = dice.word();
    if dice.below(5) == 0 {
        let value = {
            let n = 28 + dice.below(20);
            dice.letters(ALNUM, n)
        };
        return (format!("level=debug app={app} got {value} from upstream"), value);
    }
    let (value, name) = match dice.below(3) {
        0 => (
            dice.password(),
            dice.pick(&[
                "password",
                "DB_PASSWORD",
                "passwd",
                "admin_password",
                "PGPASSWORD",
                "passphrase",
            ]),
        ),
        1 => {
            let n = 20 + dice.below(24);
            (
                dice.letters(ALNUM, n),
                dice.pick(&[
                    "token",
                    "api_key",
                    "client_secret",
                    "apiKey",
                    "SECRET_KEY",
                    "accessToken",
                    "auth-token",
                ]),
            )
        }
        _ => {
            let n = dice.pick(&[32, 40, 48]);
            (
                dice.hex(n),
                dice.pick(&[
                    "token",
                    "apikey",
                    "api-key",
                    "signing_key",
                    "secret",
                    "refresh_token",
                ]),
            )
        }
    };
    let quote = dice.pick(&["", "\"", "'"]);
    let text = match dice.below(7) {
        0 => format!("{name}={quote}{value}{quote}"),
        1 => format!("{name}: {quote}{value}{quote}"),
        2 => format!("{{\"{name}\":\"{value}\"}}"),
        3 => format!("the {name} is {value} and works"),
        4 => format!("--{name} {value} --verbose"),
        5 => format!("GET /login?user=x&{name}={value}&lang=en 200"),
        _ => format!("{name} => '{value}'"),
    };
    (format!("2026-03-01T12:00:00Z {app}[7]: {text}"), value)
}

/// A manifest, an Event, a log or a sentence without any secret: names, digests, UIDs, hashes, ports.
pub(crate) fn clean(dice: &mut Dice) -> String {
    let (app, uid, digest) = (dice.word(), dice.uuid(), dice.hex(64));
    let pod = format!(
        "{app}-{}-{}",
        dice.letters("bcdf456789", 10),
        dice.letters("bcdfghjklmnpqrstvwxz2456789", 5)
    );
    let (short, commit) = (dice.hex(10), dice.hex(40));
    match dice.below(12) {
        0 => yaml(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": app, "uid": uid, "resourceVersion": dice.letters("123456789", 8), "labels": {"app.kubernetes.io/name": app, "pod-template-hash": short}},
            "spec": {"replicas": 3, "template": {"spec": {"serviceAccountName": app, "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "registry-credentials"}],
                "containers": [{"name": app, "image": format!("registry.example.org/team/{app}@sha256:{digest}"), "ports": [{"containerPort": 8080}],
                    "envFrom": [{"secretRef": {"name": format!("{app}-secret")}}], "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/tokens"}]}],
                "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]}}]}}}
        })),
        1 => json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "uid": uid, "ownerReferences": [{"kind": "ReplicaSet", "name": format!("{app}-{short}"), "uid": dice.uuid()}]},
            "status": {"podIP": "10.244.1.17", "containerStatuses": [{"containerID": format!("containerd://{digest}"), "imageID": format!("docker.io/library/nginx@sha256:{digest}")}]}}).to_string(),
        2 => format!("Normal  Pulled  2m  kubelet  Successfully pulled image \"registry.example.org/{app}:{}\" in 1.2s, digest sha256:{digest}", &commit[..12]),
        3 => format!("commit {commit}\nmerge branch feature/{app}-token-refresh into main, {digest}  {app}.tar.gz"),
        4 => yaml(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{app}-config")}, "data": {"LOG_LEVEL": "debug", "TOKEN_TTL": "3600s", "PASSWORD_FILE": "/etc/secrets/password", "DATABASE_HOST": "db.example.org", "FEATURES": "a,b,c", "SECRET_NAME": format!("{app}-db")}})),
        5 => yaml(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{app}-db"), "uid": uid}, "type": "Opaque"})),
        6 => format!("scale deployment {app} in namespace {} to 5 replicas, then show the secret {app}-credentials and who can read it", dice.word()),
        7 => format!("E0301 12:00:00.000000 1 reflector.go:150] failed to list *v1.Secret: secrets is forbidden: User \"system:serviceaccount:{app}:{app}\" cannot list resource \"secrets\" at the cluster scope, request {uid}"),
        8 => yaml(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": format!("{app}-secret-reader")}, "rules": [{"apiGroups": [""], "resources": ["secrets", "serviceaccounts/token"], "verbs": ["get", "create"]}]})),
        9 => format!("set image of {app} to ghcr.example/{app}:v1.{}.0-{} and annotate it with kubechat.io/step-id=sha256:{digest}", dice.below(90), &commit[..7]),
        10 => format!("{{\"level\":\"info\",\"trace_id\":\"{}\",\"span_id\":\"{}\",\"msg\":\"handled request\",\"token_count\":{},\"path\":\"/api/v1/namespaces/{app}/pods/{pod}\"}}", dice.hex(32), dice.hex(16), dice.below(4000)),
        _ => format!("kubectl -n {app} get pod {pod} -o jsonpath='{{.status.podIP}}'; the password is in the vault, the token expires in 3600 seconds, see https://wiki.example.org/x/{}?page=2", dice.below(99_999)),
    }
}
