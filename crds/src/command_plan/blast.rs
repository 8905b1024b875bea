//! What a plan hits: numbers and names, computed from the live cluster as the requester and bound by the plan's digest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a plan hits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlastRadius {
    /// Objects reached, by kind (`Kind.group` for kinds that Kubernetes does not bring along). The targets are among them, and
    /// what their selector matches that is as wanted already.
    #[schemars(schema_with = "crate::schema::count_map")]
    pub objects: BTreeMap<String, i64>,
    /// Ready pods lost: for good, or for a while where they are replaced. The worst case where it depends on the order.
    pub pods_lost: i64,
    /// Pods reached in all.
    pub pods_total: i64,
    /// Services left with no endpoint that have one now.
    #[schemars(length(max = 100), inner(length(max = 320)))]
    pub services_at_zero: Vec<String>,
    /// PodDisruptionBudgets that allow fewer disruptions than the plan causes.
    #[schemars(length(max = 100), inner(length(max = 320)))]
    pub pdbs_violated: Vec<String>,
    /// Claims whose data is lost.
    #[schemars(length(max = 100), inner(length(max = 320)))]
    pub pvcs: Vec<String>,
    /// Claims whose volume is removed with them (reclaim policy Delete, or not known): nothing brings their data back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 320)))]
    pub unrecoverable_volumes: Vec<String>,
    /// Workloads of one replica among those that lose pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 320)))]
    pub single_replicas: Vec<String>,
    /// Disruptions the tightest PodDisruptionBudget still allows after the plan; absent when no budget covers what is hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdb_headroom: Option<i64>,
    /// Share of the nodes that the plan targets, in percent, rounded up; 100 when they could not be counted.
    pub nodes_percent: i32,
    /// Share of the cluster's pods that is lost, in percent, rounded up. 100 when they could not be counted.
    #[serde(default)]
    pub pods_percent: i32,
    /// Objects in other namespaces than the request's; what belongs to no namespace is not among them.
    pub outside_namespace: i64,
    /// Who will undo the change, or manages the object.
    #[schemars(length(max = 20), inner(length(max = 320)))]
    pub undone_by: Vec<String>,
    /// False: a limit was reached or a list was refused, and there may be more.
    pub complete: bool,
    /// What was not seen, where it is not complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 320)))]
    pub missing: Vec<String>,
}
