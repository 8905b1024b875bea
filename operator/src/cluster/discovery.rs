//! Which kinds there are, from the API server's aggregated discovery (KEP-3352), kept for a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery};
use kubechat_core::interpret::{KindInfo, Lexicon};
use kubechat_core::plan::KindRef;

use super::client::call;
use crate::error::Error;

/// How long what was discovered is believed.
const FRESH: Duration = Duration::from_secs(60);

/// All kinds of the cluster, and the words for them.
#[derive(Debug)]
pub struct Kinds {
    /// Kinds, the preferred version of each.
    pub all: Vec<KindRef>,
    /// Words for them.
    pub lexicon: Lexicon,
}

impl Kinds {
    /// The kind of that name, in that group where one is given.
    #[must_use]
    pub fn find(&self, group: Option<&str>, kind: &str) -> Vec<&KindRef> {
        self.all
            .iter()
            .filter(|k| k.kind == kind && group.is_none_or(|g| k.group == g))
            .collect()
    }

    /// A kind that every cluster has.
    #[must_use]
    pub fn known(&self, group: &str, kind: &str) -> Option<&KindRef> {
        self.all.iter().find(|k| k.is(group, kind))
    }
}

/// Keeps what was discovered.
#[derive(Debug, Default)]
pub struct Discovery {
    kept: Mutex<Option<(Arc<Kinds>, Instant)>>,
}

impl Discovery {
    /// The kinds of the cluster, at most a minute old.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn kinds(&self, client: &Client) -> Result<Arc<Kinds>, Error> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((kinds, _)) = kept.filter(|(_, since)| since.elapsed() < FRESH) {
            return Ok(kinds);
        }
        let core = call(
            "discover the core kinds",
            client.list_core_api_versions_aggregated(),
        )
        .await?;
        let groups = call("discover kinds", client.list_api_groups_aggregated()).await?;
        let mut all = vec![];
        // The everyday words for built-in kinds come first; the first kind to claim a word keeps it.
        let mut words = Lexicon::builtin_kinds();
        for group in core.items.iter().chain(&groups.items) {
            collect(group, &mut all, &mut words);
        }
        let kinds = Arc::new(Kinds {
            all,
            lexicon: Lexicon::new(words),
        });
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(&kinds), Instant::now()));
        Ok(kinds)
    }
}

/// Takes each resource of a group in its first (preferred) version that has it.
fn collect(group: &APIGroupDiscovery, all: &mut Vec<KindRef>, words: &mut Vec<KindInfo>) {
    let name = group
        .metadata
        .as_ref()
        .and_then(|m| m.name.clone())
        .unwrap_or_default();
    for version in &group.versions {
        let Some(number) = version.version.as_deref() else {
            continue;
        };
        for resource in &version.resources {
            let Some((kind, info)) = entry(&name, number, resource) else {
                continue;
            };
            if all
                .iter()
                .any(|k: &KindRef| k.group == kind.group && k.resource == kind.resource)
            {
                continue;
            }
            all.push(kind);
            words.push(info);
        }
    }
}

fn entry(group: &str, version: &str, resource: &APIResourceDiscovery) -> Option<(KindRef, KindInfo)> {
    let plural = resource.resource.clone()?;
    let kind = resource.response_kind.as_ref()?.kind.clone()?;
    if !resource.verbs.iter().any(|v| v == "get" || v == "list") {
        return None;
    }
    let namespaced = resource.scope.as_deref() == Some("Namespaced");
    let scalable = resource
        .subresources
        .iter()
        .any(|s| s.subresource.as_deref() == Some("scale"));
    let singular = resource
        .singular_resource
        .clone()
        .filter(|s| !s.is_empty())
        .unwrap_or_else(|| kind.to_lowercase());
    let info = KindInfo {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.clone(),
        plural: plural.clone(),
        singular,
        short_names: resource.short_names.clone(),
        namespaced,
    };
    let kind = KindRef {
        group: group.to_owned(),
        version: version.to_owned(),
        kind,
        resource: plural,
        namespaced,
        scalable,
    };
    Some((kind, info))
}
