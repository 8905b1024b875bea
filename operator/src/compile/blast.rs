//! The blast radius of a plan: reads what the pure side wants, as the requester, within 2 s and 5,000 objects.
//!
//! What cannot be read makes the radius incomplete, which raises the risk; it never fails the plan. Before execution the
//! same is asked again, and an answer that cannot be had is waited for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::Client;
use kubechat_core::blast::walk::walk;
use kubechat_core::blast::{self, Graph, Key, MAX_OBJECTS, Need, Node, Question, read};
use kubechat_core::lifecycle::radius;
use kubechat_core::plan::{Draft, KindRef};
use kubechat_core::policy::Effective;
use kubechat_core::reason;
use kubechat_crds::command_plan::BlastRadius;
use kubechat_crds::{CommandPlan, GROUP, Step};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::blast_answer::{Answer, Bring, Missed, Read, What, take};
use super::blast_kinds::{CHURN, is_full, metadata_tells};
use super::{Stop, Turn, records};
use crate::cluster::discovery::Kinds;
use crate::cluster::objects::{ClientDebug, List, Objects, Query};
use crate::context::Context;
use crate::error::Error;

/// Time for all reads.
const BUDGET: Duration = Duration::from_secs(2);
/// Reads at once.
const AT_ONCE: usize = 8;
/// Rounds of reads; an edge takes one, or two where only the metadata is read first, so more are never of use.
const ROUNDS: usize = 16;

/// What was found.
struct Measured {
    radius: BlastRadius,
    /// Why the plan must not be.
    refusal: Option<String>,
    /// What stood in the way beside a missing right, by what was not read.
    failed: Vec<(String, Error)>,
}

/// The blast radius of drafts that are complete otherwise.
///
/// # Errors
/// When an object that would be deleted is protected.
pub(super) async fn of_drafts(turn: &Turn<'_>, drafts: &[Draft]) -> Result<BlastRadius, Stop> {
    let started = Instant::now();
    let steps: Vec<Step> = drafts.iter().map(|d| d.step.clone()).collect();
    let mut graph = Graph::default();
    for draft in drafts {
        for (target, object) in draft.step.targets.iter().zip(&draft.before) {
            graph.add(read::node(&target.group, &target.kind, object));
        }
    }
    let question = Question {
        steps: &steps,
        namespace: &turn.namespace,
        again: false,
    };
    let own = ClientDebug(turn.ctx.client.clone());
    let found = measure(&turn.person, &own, &turn.kinds, &question, graph).await;
    turn.ctx.metrics.blast("plan", started.elapsed());
    match found.refusal {
        Some(message) => Err(Stop::blocked(
            reason::DELETE_PROTECTED,
            "kubechat",
            "delete-protection",
            message,
        )),
        None => Ok(found.radius),
    }
}

/// Why an approved plan is not executed as it stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It would hit something else than was approved, or more.
    Changed(String),
    /// What it would hit must not be hit now, whatever was approved. With what to do.
    Refused(String),
}

/// Why a plan may not be executed by what it would hit at `at`, if it may not.
///
/// # Errors
/// When it cannot be found out now.
pub async fn outgrown(
    ctx: &Context,
    person: &Client,
    plan: &CommandPlan,
    policies: &Effective,
    at: Timestamp,
) -> Result<Option<Unfit>, Error> {
    let home = plan.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(forbidden) = records::forbidden(ctx, &plan.spec.steps, home).await? {
        return Ok(Some(Unfit::Refused(forbidden.text)));
    }
    let Some(planned) = &plan.spec.blast_radius else {
        return Ok(None);
    };
    let started = Instant::now();
    let question = Question {
        steps: &plan.spec.steps,
        namespace: home,
        again: true,
    };
    let kinds = ctx.discovery.kinds(&ctx.client).await?;
    let (person, own) = (ClientDebug(person.clone()), ClientDebug(ctx.client.clone()));
    let found = measure(&person, &own, &kinds, &question, Graph::default()).await;
    ctx.metrics.blast("execute", started.elapsed());
    judge(planned, found, |now| {
        radius::outgrown(&plan.spec, home, planned, now, policies, at)
    })
}

/// What is to be made of what was found now. What could be read for the plan and does not answer now is waited for; what
/// could not be read then either was approved as unknown.
fn judge(
    planned: &BlastRadius,
    found: Measured,
    outgrown: impl FnOnce(&BlastRadius) -> Option<String>,
) -> Result<Option<Unfit>, Error> {
    let Measured {
        radius,
        refusal,
        failed,
    } = found;
    let waited_for = |(what, _): &(String, Error)| blast::was_seen(planned, what);
    match failed.into_iter().find(waited_for) {
        Some((_, error)) => Err(error),
        None => Ok(refusal
            .map(Unfit::Refused)
            .or_else(|| outgrown(&radius).map(Unfit::Changed))),
    }
}

async fn measure(
    person: &ClientDebug,
    own: &ClientDebug,
    kinds: &Kinds,
    question: &Question<'_>,
    mut graph: Graph,
) -> Measured {
    let reader = Reader {
        person,
        own,
        kinds,
        deadline: Instant::now() + BUDGET,
        left: AtomicUsize::new(MAX_OBJECTS),
    };
    let mut done: BTreeSet<Need> = BTreeSet::new();
    let mut failed = vec![];
    let mut walked = walk(question, &graph);
    for _ in 0..ROUNDS {
        // Lists that may be long and bring little come last: time is for the others.
        let (late, mut new): (Vec<Need>, Vec<Need>) = blast::wanted(question, &graph, &walked)
            .into_iter()
            .filter(|need| !done.contains(need))
            .partition(|need| matches!(need, Need::Owned { .. }));
        if new.is_empty() {
            new = late;
        }
        if new.is_empty() {
            break;
        }
        done.extend(new.iter().cloned());
        let gets = new.iter().filter_map(|need| {
            let Need::Get(key) = need else { return None };
            Some(key.clone())
        });
        let reached = graph.reach(&gets.collect());
        new.retain(|need| !matches!(need, Need::Get(key) if reached.contains(key) && reader.is_told(key)));
        let reads = new.into_iter().flat_map(|need| reader.reads(need));
        let answers: Vec<Answer> = stream::iter(reads)
            .map(|r| reader.read(r))
            .buffered(AT_ONCE)
            .collect()
            .await;
        for answer in answers {
            take(answer, &mut graph, &mut failed);
        }
        walked = walk(question, &graph);
    }
    Measured {
        radius: blast::radius(question, &graph, &walked),
        refusal: blast::refusal(question, &graph, &walked),
        failed,
    }
}

struct Reader<'a> {
    person: &'a ClientDebug,
    /// The operator's own, for nothing but the number of the cluster's pods.
    own: &'a ClientDebug,
    kinds: &'a Kinds,
    deadline: Instant,
    /// Objects that may still come.
    left: AtomicUsize,
}

impl Reader<'_> {
    /// Whether a list of metadata tells all that reading an object of the kind itself would.
    fn is_told(&self, key: &Key) -> bool {
        let kind = self.kinds.known(&key.group, &key.kind);
        kind.is_some_and(|kind| !is_full(kind) && metadata_tells(kind))
    }

    /// The calls of a need; none where the cluster has no such kind.
    fn reads(&self, need: Need) -> Vec<Read> {
        let one = |group: &str, kind: &str, namespace: Option<String>, what: What| {
            let kind = self.kinds.known(group, kind).cloned();
            kind.map(|kind| Read {
                kind,
                namespace,
                what,
            })
            .into_iter()
            .collect()
        };
        match need {
            Need::Get(Key {
                group,
                kind,
                namespace,
                name,
            }) => one(&group, &kind, namespace, What::Get(name)),
            Need::List {
                group,
                kind,
                namespace,
                labels,
                fields,
            } => one(
                &group,
                &kind,
                namespace,
                What::List {
                    labels,
                    fields,
                    bring: Bring::Objects,
                },
            ),
            Need::Matches {
                group,
                kind,
                namespace,
                labels,
            } => {
                let what = What::List {
                    labels,
                    fields: None,
                    bring: Bring::Matches,
                };
                one(&group, &kind, namespace, what)
            }
            Need::Owned {
                group,
                kind,
                namespace,
            } => {
                let what = What::List {
                    labels: None,
                    fields: None,
                    bring: Bring::Owned,
                };
                one(&group, &kind, Some(namespace), what)
            }
            Need::Everything(namespace) => self.everything(&namespace),
            Need::CountNodes => one("", "Node", None, What::CountNodes),
            Need::CountPods => one("", "Pod", None, What::CountPods),
        }
    }

    fn everything(&self, namespace: &str) -> Vec<Read> {
        let kinds = self.kinds.all.iter();
        let lasting = kinds.filter(|k| k.namespaced && k.group != GROUP && !CHURN.contains(&k.kind.as_str()));
        lasting
            .map(|kind| Read {
                kind: kind.clone(),
                namespace: Some(namespace.to_owned()),
                what: What::List {
                    labels: None,
                    fields: None,
                    bring: Bring::Objects,
                },
            })
            .collect()
    }

    async fn read(&self, read: Read) -> Answer {
        let Read {
            kind,
            namespace,
            what,
        } = read;
        let api = Objects::new(self.person, &kind, namespace.as_deref());
        let mut answer = Answer {
            nodes: vec![],
            bring: match what {
                What::List { bring, .. } => bring,
                What::Get(_) | What::CountNodes | What::CountPods => Bring::Objects,
            },
            nodes_counted: None,
            pods_counted: None,
            gap: None,
        };
        let work = async {
            match &what {
                What::Get(name) => self
                    .get(&api, &kind, name)
                    .await
                    .map(|node| answer.nodes.extend(node)),
                What::List {
                    labels,
                    fields,
                    bring,
                } => {
                    let query = Query {
                        labels: labels.as_deref(),
                        fields: fields.as_deref(),
                        ..Query::default()
                    };
                    self.list(&api, &kind, query, *bring, &mut answer.nodes).await
                }
                What::CountNodes => count(&api).await.map(|n| answer.nodes_counted = n),
                What::CountPods => self.pods(&api, &kind).await.map(|n| answer.pods_counted = n),
            }
        };
        let outcome = timeout_at(self.deadline, work).await;
        let place = namespace.as_ref().map(|n| format!(" in {n}")).unwrap_or_default();
        let what = format!("{}{place}", kind.resource);
        let found = match outcome {
            Ok(Ok(())) => None,
            // A kind that only some other verb serves, or that went meanwhile.
            Ok(Err(Gap::Error(error))) if error.status().is_some_and(|s| matches!(s.code, 404 | 405)) => None,
            Ok(Err(Gap::Error(error))) if error.status().is_some_and(|s| s.code == 403) => {
                Some(("the requester may not read them".to_owned(), None))
            }
            Ok(Err(Gap::Error(error))) => Some((error.to_string(), Some(error))),
            Ok(Err(Gap::TooMany)) => Some((format!("stopped after {MAX_OBJECTS} objects"), None)),
            Err(_) => {
                let seconds = BUDGET.as_secs();
                let error = Error::Timeout {
                    what: format!("read {what}"),
                    seconds,
                };
                Some((format!("no answer within {seconds} s"), Some(error)))
            }
        };
        answer.gap = found.map(|(why, error)| Missed { what, why, error });
        answer
    }

    /// How many pods the cluster has. A requester who may not list them all hears of no more than the share that this
    /// number gives, so the operator counts for him.
    async fn pods(&self, api: &Objects<'_>, kind: &KindRef) -> Result<Option<i64>, Gap> {
        match count(api).await {
            Err(Gap::Error(error)) if error.status().is_some_and(|s| s.code == 403) => {
                count(&Objects::new(self.own, kind, None)).await
            }
            counted => counted,
        }
    }

    async fn get(&self, api: &Objects<'_>, kind: &KindRef, name: &str) -> Result<Option<Node>, Gap> {
        let object = if is_full(kind) || !metadata_tells(kind) {
            api.find(name).await?
        } else {
            api.find_metadata(name).await?
        };
        Ok(object.map(|o| read::node(&kind.group, &kind.kind, &o)))
    }

    async fn list(
        &self,
        api: &Objects<'_>,
        kind: &KindRef,
        query: Query<'_>,
        bring: Bring,
        nodes: &mut Vec<Node>,
    ) -> Result<(), Gap> {
        let mut next = String::new();
        loop {
            let query = Query {
                continue_: Some(next.as_str()).filter(|t| !t.is_empty()),
                ..query
            };
            let owned = bring == Bring::Owned;
            let page: List = if is_full(kind) && !owned {
                api.list(&query).await?
            } else {
                api.list_metadata(&query).await?
            };
            let mut some: Vec<Value> = page.items;
            // They take no room: what goes of them is read itself, and no more is reached than there is room for.
            let taken = if owned {
                some.retain(|o| o.pointer("/metadata/ownerReferences").is_some());
                some.len()
            } else {
                self.reserve(some.len())
            };
            nodes.extend(
                some.iter()
                    .take(taken)
                    .map(|o| read::node(&kind.group, &kind.kind, o)),
            );
            if taken < some.len() {
                return Err(Gap::TooMany);
            }
            next = page.metadata.continue_;
            if next.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes room for objects; returns for how many there is some.
    fn reserve(&self, wanted: usize) -> usize {
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(wanted))
            });
        before.map_or(0, |left| left.min(wanted))
    }
}

/// Why something was not read.
enum Gap {
    Error(Error),
    TooMany,
}

impl From<Error> for Gap {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How many objects there are, from the first page of one; `None` where the API server does not say.
async fn count(api: &Objects<'_>) -> Result<Option<i64>, Gap> {
    let list = api
        .list_metadata(&Query {
            limit: 1,
            ..Query::default()
        })
        .await?;
    let here = i64::try_from(list.items.len()).unwrap_or(0);
    if list.metadata.continue_.is_empty() {
        return Ok(Some(here));
    }
    Ok(list.metadata.remaining_item_count.map(|rest| here + rest))
}

#[cfg(test)]
#[path = "blast_measure_tests.rs"]
mod measure_tests;
#[cfg(test)]
#[path = "blast_tests.rs"]
mod tests;
