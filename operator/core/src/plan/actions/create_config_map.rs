//! create-configmap: keys and values from the prompt.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind};

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "ConfigMap")],
    params: &["set"],
    says: &[
        "create configmap settings with mode=fast and size=3",
        "kubectl create configmap settings --from-literal=mode=fast",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        let pairs: Vec<String> = step
            .params
            .set
            .iter()
            .map(|(k, v)| format!(" --from-literal={}", super::quoted(&format!("{k}={v}"))))
            .collect();
        format!("create configmap {}{}", line.names, pairs.concat())
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    resource: "configmaps",
    from: &[],
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    Ok(json!({"data": making.intent.params.set}))
}
