//! Waiting for the effect: rollouts finished, deleted objects gone. Bounded, with progress and evidence.

use std::time::{Duration, Instant};

use kube::Client;
pub use kubechat_core::plan::effect::rollout;
use kubechat_core::plan::effect::{Standing, standing};
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::{CommandPlan, Step};

use super::mark::{key, kind_of, label};
use crate::cluster::objects::{ClientDebug, Objects};
use crate::error::Error;

/// Longest wait for the effect of a plan.
pub const MAX_WAIT: Duration = Duration::from_secs(120);
/// Longest look at all targets; what was not seen by then counts as not there yet.
const LOOK_TIME: Duration = Duration::from_secs(30);
/// Objects that the evidence names.
const MAX_NAMED: usize = 20;
/// Longest evidence, as the schema bounds it.
const MAX_TEXT: usize = 2000;

/// What was seen of the targets of a plan.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is still waited for; empty when the effect is there.
    pub open: Vec<String>,
    /// How each object stands.
    pub lines: Vec<String>,
    /// What was changed and is not there any more.
    pub lost: Vec<String>,
}

impl Seen {
    /// How the objects stand, as it goes into the status.
    #[must_use]
    pub fn evidence(&self) -> String {
        lines(&self.lines)
    }
}

/// Lines about objects as one bounded text.
#[must_use]
pub fn lines(all: &[String]) -> String {
    let named: Vec<&str> = all.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = all.len().saturating_sub(MAX_NAMED);
    let tail = if more == 0 {
        String::new()
    } else {
        format!("; and {more} more")
    };
    kubechat_crds::condition::clip(format!("{}{tail}", named.join("; ")), MAX_TEXT)
}

/// Whether anything of a plan is waited for.
#[must_use]
pub fn waits(plan: &CommandPlan) -> bool {
    let each = plan.spec.steps.iter();
    each.flat_map(|s| s.targets.iter().map(move |t| (s, t)))
        .any(|(step, target)| waits_for(step, target))
}

fn waits_for(step: &Step, target: &Target) -> bool {
    step.effect == Effect::Delete || has_rollout(&target.kind)
}

/// Looks at every target of a plan. One that a later step deletes or changes too is judged by its last step only. One that
/// is waited for and cannot be read is not there yet: so a plan ends, whatever cannot be read.
pub async fn look(person: &Client, plan: &CommandPlan) -> Seen {
    let (mut seen, began) = (Seen::default(), Instant::now());
    for (index, step) in plan.spec.steps.iter().enumerate() {
        let later = plan.spec.steps.get(index + 1..).unwrap_or_default();
        for target in &step.targets {
            let waits = waits_for(step, target);
            // What cannot be waited for is looked at for the evidence only.
            if later.iter().any(|s| touches(s, target)) || !waits && seen.lines.len() >= MAX_NAMED {
                continue;
            }
            if began.elapsed() > LOOK_TIME {
                seen.open.push("others could not be looked at in time".to_owned());
                return seen;
            }
            if let Some(standing) = one(person, step.effect, target, waits).await {
                if standing.open {
                    seen.open.push(standing.line.clone());
                } else if standing.lost {
                    seen.lost.push(standing.line.clone());
                }
                seen.lines.push(standing.line);
            }
        }
    }
    seen
}

fn has_rollout(kind: &str) -> bool {
    rollout(kind, &serde_json::Value::Null).is_some()
}

fn touches(step: &Step, target: &Target) -> bool {
    let wanted = key(target);
    step.targets.iter().any(|t| key(t) == wanted)
}

/// `None` for who may change but not look: he gets no progress.
async fn one(person: &Client, effect: Effect, target: &Target, waits: bool) -> Option<Standing> {
    let client = ClientDebug(person.clone());
    let kind = kind_of(target);
    let found = Objects::new(&client, &kind, target.namespace.as_deref())
        .find(&target.name)
        .await;
    match found {
        Ok(object) => Some(standing(effect, target, object.as_ref())),
        Err(error) if error.status().is_some_and(|s| s.code == 403) => None,
        Err(error) => Some(Standing {
            line: unread(&label(target), &error),
            open: waits,
            lost: false,
        }),
    }
}

/// How what cannot be read is told of.
#[must_use]
pub fn unread(what: &str, error: &Error) -> String {
    kubechat_crds::condition::clip(format!("{what}: cannot be read ({error})"), 300)
}
