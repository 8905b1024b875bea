//! Sending one step, target by target, as the requester.

use kube::Client;
use kubechat_core::plan::{self, KindRef, Trace};
use kubechat_core::reason;
use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use serde_json::Value;

use crate::cluster::objects::{ClientDebug, Objects};
use crate::error::Error;

/// What came of a send.
#[derive(Debug)]
pub(super) enum Sent {
    /// All targets were accepted.
    Done,
    /// The API server refused one.
    Failed {
        /// Reason constant.
        reason: &'static str,
        /// Its words.
        message: String,
        /// Targets done before.
        done: i32,
        /// Targets not done.
        failed: Vec<String>,
    },
    /// Nobody can know.
    Unknown {
        /// Why.
        message: String,
    },
}

/// Why a step is not sent.
#[derive(Debug)]
pub(super) enum NotReady {
    /// A target is not as planned.
    Changed(String),
    /// The dry-run was refused.
    Refused {
        /// Reason constant.
        reason: &'static str,
        /// The API server's words.
        message: String,
    },
}

/// One write, ready to go.
#[derive(Debug)]
pub(super) struct Write<'a> {
    target: &'a Target,
    kind: KindRef,
    /// Patch or manifest; `Null` for a delete.
    body: Value,
    version: Option<String>,
}

fn kind_of(target: &Target) -> KindRef {
    KindRef {
        group: target.group.clone(),
        version: target.version.clone(),
        kind: target.kind.clone(),
        resource: target.resource.clone(),
        namespaced: target.namespace.is_some(),
        scalable: false,
    }
}

/// Whether every target of a step is as it was planned.
pub(super) async fn check(client: &Client, step: &Step) -> Result<Result<(), String>, Error> {
    let client = ClientDebug(client.clone());
    for target in &step.targets {
        let kind = kind_of(target);
        let found = Objects::new(&client, &kind, target.namespace.as_deref())
            .find(&target.name)
            .await;
        if let Err(changed) = judge(step, target, found)? {
            return Ok(Err(changed));
        }
    }
    Ok(Ok(()))
}

fn judge(
    step: &Step,
    target: &Target,
    found: Result<Option<Value>, Error>,
) -> Result<Result<(), String>, Error> {
    let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
    Ok(match (step.effect, found) {
        (Effect::Create, Ok(None)) => Ok(()),
        // Who may create need not be allowed to read; the API server refuses a second one by itself.
        (Effect::Create, Err(error)) if error.status().is_some_and(|s| s.code == 403) => Ok(()),
        (Effect::Create, Ok(Some(_))) => Err(format!("{name} exists by now")),
        (Effect::Update | Effect::Delete | Effect::Read, Ok(None)) => Err(format!("{name} is gone")),
        (Effect::Update | Effect::Delete | Effect::Read, Ok(Some(object))) => {
            plan::still_as_planned(target, &object)
        }
        (_, Err(error)) if error.status().is_some_and(|s| s.code == 403) => {
            Err(format!("the requester may not read {name} any more"))
        }
        (_, Err(error)) => return Err(error),
    })
}

/// Reads every target anew, builds its write and has it dry-run.
pub(super) async fn prepare<'a>(
    client: &Client,
    step: &'a Step,
    body: Option<&String>,
    step_id: &str,
    touched_before: bool,
) -> Result<Result<Vec<Write<'a>>, NotReady>, Error> {
    let client = ClientDebug(client.clone());
    let mut writes = vec![];
    for target in &step.targets {
        let kind = kind_of(target);
        let api = Objects::new(&client, &kind, target.namespace.as_deref());
        let fresh = if step.effect == Effect::Create {
            None
        } else {
            api.find(&target.name).await?
        };
        if let Some(changed) = changed(step, target, fresh.as_ref(), touched_before) {
            return Ok(Err(NotReady::Changed(changed)));
        }
        let text = body.map(String::as_str).unwrap_or_default();
        let built = match step.effect {
            Effect::Update => plan::final_patch(
                text,
                step.subresource.as_deref(),
                fresh.as_ref().unwrap_or(&Value::Null),
                step_id,
            ),
            Effect::Create => marked(text, step_id),
            Effect::Delete | Effect::Read => Ok(Value::Null),
        };
        let body = match built {
            Ok(body) => body,
            Err(message) => {
                return Ok(Err(NotReady::Refused {
                    reason: reason::INVALID,
                    message,
                }));
            }
        };
        let version = fresh.as_ref().and_then(|o| {
            o.pointer("/metadata/resourceVersion")?
                .as_str()
                .map(str::to_owned)
        });
        let write = Write {
            target,
            kind,
            body,
            version,
        };
        match execute(&client, step, &write, true).await {
            Ok(()) => writes.push(write),
            Err(error) => match error.status().map(|s| (s.code, s.message.clone())) {
                Some((409, message)) => return Ok(Err(NotReady::Changed(message))),
                Some((403, message)) => {
                    return Ok(Err(NotReady::Refused {
                        reason: reason::FORBIDDEN,
                        message,
                    }));
                }
                Some((code, message)) if (400..500).contains(&code) && code != 429 => {
                    return Ok(Err(NotReady::Refused {
                        reason: reason::DRY_RUN_FAILED,
                        message,
                    }));
                }
                _ => return Err(error),
            },
        }
    }
    Ok(Ok(writes))
}

/// What changed at a target since the plan. A target that an earlier step of the plan changed must be the same object only.
fn changed(step: &Step, target: &Target, fresh: Option<&Value>, touched_before: bool) -> Option<String> {
    if step.effect == Effect::Create {
        return None;
    }
    let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
    let Some(object) = fresh else {
        return Some(format!("{name} is gone"));
    };
    if touched_before {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        return (uid != target.uid.as_deref())
            .then(|| format!("{name} was deleted and created again since the plan was made"));
    }
    plan::still_as_planned(target, object).err()
}

/// A manifest with the step id, so that a restart recognises its own work.
fn marked(manifest: &str, step_id: &str) -> Result<Value, String> {
    let mut manifest: Value =
        serde_json::from_str(manifest).map_err(|e| format!("the recorded manifest is no JSON: {e}"))?;
    if !manifest.is_object() {
        return Err("the recorded manifest is no object".to_owned());
    }
    manifest["metadata"]["annotations"][kubechat_crds::STEP_ID_ANNOTATION] = step_id.into();
    Ok(manifest)
}

async fn execute(client: &ClientDebug, step: &Step, write: &Write<'_>, dry_run: bool) -> Result<(), Error> {
    let target = write.target;
    let api = Objects::new(client, &write.kind, target.namespace.as_deref());
    match step.effect {
        Effect::Update => api
            .patch(&target.name, step.subresource.as_deref(), &write.body, dry_run)
            .await
            .map(drop),
        Effect::Create => api.create(&write.body, dry_run).await.map(drop),
        Effect::Delete => {
            let uid = target.uid.as_deref().unwrap_or_default();
            let grace = step.params.grace_period_seconds;
            api.delete(&target.name, uid, write.version.as_deref(), grace, dry_run)
                .await
                .map(drop)
        }
        Effect::Read => Ok(()),
    }
}

/// Sends the writes one after the other; the first refusal stops.
pub(super) async fn send(client: &Client, step: &Step, writes: Vec<Write<'_>>, step_id: &str) -> Sent {
    let person = ClientDebug(client.clone());
    let mut done = 0;
    let all = writes.len();
    for (index, write) in writes.iter().enumerate() {
        let name = format!("{}/{}", write.target.kind.to_lowercase(), write.target.name);
        let error = match execute(&person, step, write, false).await {
            Ok(()) => {
                done += 1;
                continue;
            }
            Err(error) => error,
        };
        let left: Vec<String> = writes
            .iter()
            .skip(index)
            .map(|w| format!("{}/{}", w.target.kind.to_lowercase(), w.target.name))
            .take(20)
            .collect();
        return match error.status().map(|s| s.code) {
            // An answer of the API server means that it did not happen; a server error may hide that it did.
            Some(code) if (400..500).contains(&code) => Sent::Failed {
                reason: if code == 403 {
                    reason::FORBIDDEN
                } else if code == 409 {
                    reason::STALE
                } else {
                    reason::STEP_FAILED
                },
                message: format!("{name}: {error}. {done} of {all} target(s) were done before"),
                done,
                failed: left,
            },
            _ => match untraced(client.clone(), step, step_id).await {
                Ok(lost) if lost.is_empty() => Sent::Done,
                Ok(lost) => Sent::Unknown {
                    message: format!(
                        "{error}; whether it happened cannot be known for {}. It is not sent again",
                        lost.join(", ")
                    ),
                },
                Err(second) => Sent::Unknown {
                    message: format!(
                        "{error}; looking for its effect failed too ({second}). It is not sent again"
                    ),
                },
            },
        };
    }
    Sent::Done
}

/// Targets that do not bear the step's mark.
pub(super) async fn untraced(client: Client, step: &Step, step_id: &str) -> Result<Vec<String>, Error> {
    let client = ClientDebug(client);
    let mut lost = vec![];
    for target in &step.targets {
        let kind = kind_of(target);
        let object = match Objects::new(&client, &kind, target.namespace.as_deref())
            .find(&target.name)
            .await
        {
            Ok(object) => object,
            Err(error) if error.status().is_some_and(|s| s.code == 403) => {
                lost.push(target.name.clone());
                continue;
            }
            Err(error) => return Err(error),
        };
        if plan::trace(step, target, object.as_ref(), step_id) == Trace::Unknown {
            lost.push(format!("{}/{}", target.kind.to_lowercase(), target.name));
        }
    }
    Ok(lost)
}
