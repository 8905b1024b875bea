//! top: what pods or nodes use now, from the metrics API where the cluster has one.

use kubechat_core::plan::{object, quantity};
use kubechat_core::reason;
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::{Intent, SortBy};
use serde_json::Value;

use super::super::answer::{MAX_ROWS, text, with_table};
use super::super::{Stop, Turn, resolve};
use super::place;
use crate::cluster::objects::{Objects, Query};

/// Group of the metrics API.
const METRICS: &str = "metrics.k8s.io";
const NANO: i128 = 1_000_000_000;

struct Use {
    namespace: String,
    name: String,
    /// Billionths of a core.
    cpu: i128,
    /// Bytes.
    memory: i128,
}

pub(super) async fn top(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let nodes = intent.target.kind.as_deref() == Some("Node");
    let word = if nodes { "NodeMetrics" } else { "PodMetrics" };
    let Some(kind) = turn.kinds.known(METRICS, word) else {
        return Err(Stop::failed(
            reason::NOT_SUPPORTED,
            "this cluster has no metrics API (metrics.k8s.io), so nobody measures what is in use. Nothing was done. Install metrics-server, or ask for requests and limits: describe NAME",
        ));
    };
    let namespace = resolve::namespace_of(turn, intent, kind)?;
    let query = Query {
        labels: intent.target.selector.as_deref(),
        ..Query::default()
    };
    let list = Objects::new(&turn.person, kind, namespace.as_deref())
        .list(&query)
        .await
        .map_err(resolve::bad_selector)?;
    let mut used: Vec<Use> = list.items.iter().map(used).collect();
    if !intent.target.names.is_empty() {
        let belongs = |pod: &str, name: &String| {
            pod == name
                || pod
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| !nodes && rest.starts_with('-'))
        };
        used.retain(|u| intent.target.names.iter().any(|name| belongs(&u.name, name)));
    }
    order(&mut used, intent.params.sort.unwrap_or(SortBy::Cpu));
    let what = if nodes { "nodes" } else { "pods" };
    let place = place(kind.namespaced, namespace.as_deref());
    if used.is_empty() {
        return Ok(text(&format!("Nothing was measured of such {what}{place}.")));
    }
    let everywhere = kind.namespaced && namespace.is_none();
    let mut titles = ["Name", "CPU", "Memory"].map(str::to_owned).to_vec();
    if everywhere {
        titles.insert(0, "Namespace".to_owned());
    }
    let total = i64::try_from(used.len()).unwrap_or(i64::MAX);
    let rows = used.iter().take(MAX_ROWS).map(|u| row(u, everywhere)).collect();
    let words = format!("{total} {what}{place}, the most first:");
    Ok(with_table(
        &words,
        titles,
        rows,
        total,
        "more rows than an answer holds: narrow it by a namespace or a selector",
    ))
}

/// What one object uses: a node as a whole, a pod as the sum of its containers.
fn used(object: &Value) -> Use {
    let nano = |usage: &Value, what: &str| {
        usage
            .get(what)
            .and_then(Value::as_str)
            .and_then(quantity::nano)
            .unwrap_or(0)
    };
    let parts: Vec<&Value> = match object.get("containers").and_then(Value::as_array) {
        Some(containers) => containers.iter().filter_map(|c| c.get("usage")).collect(),
        None => object.get("usage").into_iter().collect(),
    };
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Use {
        namespace: text("/metadata/namespace"),
        name: object::name(object).to_owned(),
        cpu: parts.iter().map(|u| nano(u, "cpu")).sum(),
        memory: parts.iter().map(|u| nano(u, "memory")).sum::<i128>() / NANO,
    }
}

fn order(used: &mut [Use], by: SortBy) {
    match by {
        SortBy::Memory => used.sort_by_key(|u| std::cmp::Reverse(u.memory)),
        SortBy::Cpu | SortBy::Restarts => used.sort_by_key(|u| std::cmp::Reverse(u.cpu)),
    }
}

fn row(used: &Use, everywhere: bool) -> Vec<String> {
    let mut cells = vec![
        used.name.clone(),
        format!("{}m", used.cpu * 1000 / NANO),
        format!("{}Mi", used.memory / (1024 * 1024)),
    ];
    if everywhere {
        cells.insert(0, used.namespace.clone());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_uses_what_its_containers_use_and_the_most_comes_first() {
        let pod = |name: &str, cpu: &str, memory: &str| {
            let usage = json!({"usage": {"cpu": cpu, "memory": memory}});
            used(&json!({"metadata": {"name": name, "namespace": "demo"}, "containers": [usage, usage]}))
        };
        let mut all = [pod("a", "250m", "64Mi"), pod("b", "1000000n", "1Gi")];
        assert_eq!(row(&all[0], true), ["demo", "a", "500m", "128Mi"]);
        assert_eq!(row(&all[1], false), ["b", "2m", "2048Mi"]);
        order(&mut all, SortBy::Memory);
        assert_eq!(all[0].name, "b");
        order(&mut all, SortBy::Cpu);
        assert_eq!(all[0].name, "a");
    }
}
