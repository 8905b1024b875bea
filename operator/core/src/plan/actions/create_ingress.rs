//! create-ingress: one host that leads to one Service.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind, flag};
use super::{Refusal, object};

pub(super) const CHANGE: Change = Change {
    kinds: &[("networking.k8s.io", "Ingress")],
    params: &["host", "path", "from", "port", "className"],
    says: &[
        "create ingress web for host web.example.com to service web on port 80",
        "kubectl create ingress web --rule='web.example.com/*=web:80'",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        let p = &step.params;
        let service = p.from.as_deref().unwrap_or_default();
        let service = service.rsplit('/').next().unwrap_or_default();
        let path = p.path.as_deref().unwrap_or("/");
        let host = p.host.as_deref().unwrap_or_default();
        let rule = format!("{host}{path}*={service}:{}", p.port.unwrap_or_default());
        format!(
            "create ingress {}{}{}",
            line.names,
            flag("rule", Some(&rule)),
            flag("class", p.class_name.as_ref())
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
    resource: "ingresses",
    from: &[("", "Service")],
    blind: false,
    body,
};

fn body(making: &Making<'_>, told: &mut IntentParams) -> Result<Value, Refusal> {
    let p = &making.intent.params;
    let Some(service) = making.source else {
        return Making::ask(format!(
            "To which Service should {} lead? Say for example 'to service web'",
            making.name
        ));
    };
    let Some(host) = &p.host else {
        return Making::ask(format!(
            "For which host is {}? Say for example 'for host web.example.com'",
            making.name
        ));
    };
    let ports: Vec<i64> = service
        .object
        .pointer("/spec/ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|port| port.get("port")?.as_i64())
        .collect();
    let name = object::name(&service.object);
    let port = match (p.port.map(i64::from), ports.as_slice()) {
        (Some(port), _) if ports.contains(&port) => port,
        (None, [one]) => *one,
        (said, _) => {
            let have: Vec<String> = ports.iter().map(i64::to_string).collect();
            let wrong = said.map(|port| format!("service/{name} has no port {port}. "));
            return Err(Refusal::NeedsInput {
                message: format!("{}Which port of service/{name}?", wrong.unwrap_or_default()),
                candidates: have,
            });
        }
    };
    told.port = i32::try_from(port).ok();
    let backend = json!({"service": {"name": name, "port": {"number": port}}});
    let path = p.path.as_deref().unwrap_or("/");
    let mut spec = json!({"rules": [{"host": host,
        "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}]});
    if let Some(class) = &p.class_name {
        spec["ingressClassName"] = class.as_str().into();
    }
    Ok(json!({"spec": spec}))
}
