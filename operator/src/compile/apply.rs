//! What a manifest from a prompt comes to, as the requester: an object that is made, or a change of the one there is.

use kubechat_core::plan::actions::apply;
use kubechat_core::plan::{Draft, Found, KindRef};
use kubechat_core::reason;
use kubechat_crds::intent::{Intent, IntentParams};
use serde_json::Value;

use super::{Stop, Turn, dry_run, resolve};
use crate::cluster::objects::Objects;

const RIGHTS: &str = "rbac.authorization.k8s.io";

/// A manifest from a prompt, and where it belongs.
pub(super) struct Meant<'t> {
    pub(super) manifest: Value,
    pub(super) kind: &'t KindRef,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

fn invalid(why: impl std::fmt::Display) -> Stop {
    Stop::failed(reason::INVALID, format!("{why}. Nothing was done"))
}

/// Reads the manifest of an intent: its kind is one of the cluster, its namespace one that is in bounds.
pub(super) fn meant<'t>(turn: &'t Turn<'_>, intent: &Intent) -> Result<Meant<'t>, Stop> {
    let text = intent.params.manifest.as_deref().unwrap_or_default();
    let manifest: Value =
        serde_json::from_str(text).map_err(|e| invalid(format!("the manifest is no JSON: {e}")))?;
    let about = apply::about(&manifest).map_err(invalid)?;
    let Some(kind) = turn.kinds.known(about.group, about.kind) else {
        return Err(invalid(format!(
            "this cluster has no kind {} of that apiVersion",
            about.kind
        )));
    };
    if kind.version != about.version {
        return Err(invalid(format!(
            "this cluster serves {} as {}; write that as apiVersion",
            about.kind,
            kind.api_version()
        )));
    }
    // What was understood, and told to the person, is what is changed.
    let said = &intent.target;
    let same = said.kind.as_deref() == Some(about.kind)
        && said.group.as_deref().unwrap_or_default() == about.group
        && matches!(&said.names[..], [name] if name == about.name)
        && said.selector.is_none()
        && !said.all
        && !said.all_namespaces;
    if !same {
        return Err(invalid(format!(
            "the manifest is of {} {}, and that is not what the request names; paste the manifest of the object that is meant",
            about.kind, about.name
        )));
    }
    // What judges the namespace is what is written to.
    let placed = about.namespace.is_none() || about.namespace == intent.target.namespace.as_deref();
    if !placed || (intent.target.namespace.is_some() && !kind.namespaced) {
        return Err(invalid(format!(
            "the namespace of the manifest does not fit {}",
            about.kind
        )));
    }
    let (name, namespace) = (about.name.to_owned(), resolve::namespace_of(turn, intent, kind)?);
    Ok(Meant {
        manifest,
        kind,
        name,
        namespace,
    })
}

/// The steps of one manifest.
pub(super) async fn drafts(turn: &Turn<'_>, intent: &Intent) -> Result<Vec<Draft>, Stop> {
    let Meant {
        manifest,
        kind,
        name,
        namespace,
    } = meant(turn, intent)?;
    let api = Objects::new(&turn.person, kind, namespace.as_deref());
    let Some(object) = api.find(&name).await? else {
        let given = given(turn, &manifest, namespace.as_deref()).await?;
        return Ok(vec![apply::create(kind, namespace.as_deref(), &manifest, given)]);
    };
    let body = apply::bound(&manifest, &object, "").map_err(invalid)?;
    let command = format!("kubectl apply of {} {name}", kind.kind.to_lowercase());
    let would = api.would_apply(&name, &body).await;
    let (after, _) = would.map_err(|error| dry_run::apply_refused(error, &command))?;
    let given = given(turn, &after, namespace.as_deref()).await?;
    let found = Found {
        kind: kind.clone(),
        object,
    };
    Ok(vec![apply::change(intent, &found, &manifest, &after, given)?])
}

/// The rights that an object would give: of a binding, by the role it names, as far as the requester may read it.
async fn given(turn: &Turn<'_>, after: &Value, namespace: Option<&str>) -> Result<IntentParams, Stop> {
    let text = |p: &str| after.pointer(p).and_then(Value::as_str).unwrap_or_default();
    let (role, name) = (text("/roleRef/kind"), text("/roleRef/name"));
    if !text("/apiVersion").starts_with(RIGHTS) || name.is_empty() {
        return Ok(apply::given(after, None));
    }
    let kind: Option<&KindRef> = turn.kinds.known(RIGHTS, role);
    let found = match kind {
        Some(kind) => match Objects::new(&turn.person, kind, namespace).find(name).await {
            Err(error)
                if error
                    .status()
                    .is_some_and(|s| (400..500).contains(&s.code) && s.code != 429) =>
            {
                None
            }
            looked => looked?,
        },
        None => None,
    };
    Ok(apply::given(after, found.as_ref()))
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
