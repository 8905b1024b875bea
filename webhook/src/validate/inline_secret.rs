//! Configuration objects name Secrets, they never hold them: everybody who may list policies would read it.

use kubechat_core::secrets;
use serde_json::Value;

use crate::refusal::{Refusal, reason};

/// Stamps are written by the API server's own data and may hold token ids.
const NOT_SEARCHED: &str = "changedBy";

/// Refuses a spec with a secret in any of its texts. Says class and field, never the value.
pub(super) fn refuse_inline(spec: &Value) -> Result<(), Refusal> {
    search("spec", spec)
}

fn search(path: &str, value: &Value) -> Result<(), Refusal> {
    match value {
        Value::String(text) => match secrets::find(text).first() {
            None => Ok(()),
            Some(hit) => Err(Refusal::invalid(
                reason::SECRET_FOUND,
                format!(
                    "{path} holds a secret ({} at byte {}). Nothing was stored. Put it into a Secret and name that by secretRef",
                    hit.class, hit.start
                ),
            )),
        },
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| search(&format!("{path}[{i}]"), item)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| name.as_str() != NOT_SEARCHED)
            .try_for_each(|(name, item)| search(&format!("{path}.{name}"), item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}
