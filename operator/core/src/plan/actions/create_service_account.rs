//! create-service-account: an account without any right.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind};

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "ServiceAccount")],
    params: &[],
    says: &[
        "create a service account called ci",
        "kubectl create serviceaccount ci",
    ],
    make: Make::Object(&KIND),
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    resource: "serviceaccounts",
    from: &[],
    blind: false,
    body,
};

fn body(_: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    Ok(json!({}))
}
