//! expose: a Service for the pods of a workload.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, WORKLOADS};
use super::make::{CREATES, NewKind, create, flag};
use super::{Draft, Refusal, label_of, object};

pub(super) const CHANGE: Change = Change {
    kinds: WORKLOADS,
    params: &["port", "targetPort", "serviceType", "newName"],
    says: &[
        "expose deployment web on port 80",
        "expose web on port 80 to target port 8080",
        "kubectl expose deployment web --port=80 --target-port=8080",
    ],
    make: Make::Of(draft),
    line: |step, line| {
        let p = &step.params;
        format!(
            "expose {}{}{}{}{}",
            p.from.as_deref().unwrap_or_default(),
            flag("name", Some(&line.names)),
            flag("port", p.port.as_ref()),
            flag("target-port", p.target_port.as_ref()),
            flag("type", p.service_type.as_ref())
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "",
    version: "v1",
    kind: "Service",
    resource: "services",
    from: &[],
    blind: false,
    body: |_, _| Ok(json!({})),
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let found = asked.found;
    let p = &asked.intent.params;
    let name = label_of(found);
    let labels = found
        .object
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    // A Service selects by labels alone: without the expressions it would reach other pods too.
    let more = found.object.pointer("/spec/selector/matchExpressions");
    let expressions = more
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    let Some(labels) = labels.filter(|labels| !labels.is_empty() && !expressions) else {
        return Err(Refusal::Invalid(format!(
            "{name} does not select its pods by labels that a Service could use"
        )));
    };
    let declared = declared(found);
    let Some(port) = p.port.map(i64::from).or(declared) else {
        return Err(Refusal::NeedsInput {
            message: format!("On which port should {name} be reached?"),
            candidates: vec![],
        });
    };
    let service = match &p.new_name {
        Some(name) => name.as_str(),
        None => object::name(&found.object),
    };
    // The one port that its containers declare is where they listen.
    let listens = p.target_port.map(i64::from).or(declared).unwrap_or(port);
    let mut spec = json!({"selector": labels,
        "ports": [{"port": port, "protocol": "TCP", "targetPort": listens}]});
    if let Some(kind) = &p.service_type {
        spec["type"] = kind.as_str().into();
    }
    let params = IntentParams {
        port: i32::try_from(port).ok(),
        from: Some(name),
        dry_run: None,
        ..p.clone()
    };
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let body = json!({"spec": spec});
    Ok(create(
        asked.intent.action,
        &KIND,
        service,
        namespace,
        body,
        params,
    ))
}

/// The port of the containers, where they declare one only.
fn declared(found: &super::Found) -> Option<i64> {
    let root = object::pod_spec_pointer(&found.kind.kind)?;
    let containers = found.object.pointer(&format!("{root}/containers"))?.as_array()?;
    let ports: Vec<i64> = containers
        .iter()
        .filter_map(|c| c.get("ports")?.as_array())
        .flatten()
        .filter_map(|port| port.get("containerPort")?.as_i64())
        .collect();
    match ports.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}
