//! Sending one step, target by target, as the requester.

use std::collections::BTreeSet;

use kube::Client;
use kubechat_core::lifecycle::brakes::Shown;
use kubechat_core::plan::actions::apply;
use kubechat_core::plan::effect::standing;
use kubechat_core::{plan, reason};
use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::brakes::{ASKED_TO_END, Brakes};
use super::mark::{self, Key, MAX_NAMED, bears_mark, key, kind_of, label};
use super::patience::{MAX_CONFLICTS, Patience};
use super::recover::look_there;
use super::write::{Write, execute, marked, try_out};
use crate::cluster::objects::{ClientDebug, Earnest, Objects};
use crate::compile::dry_run::is_for_good;
use crate::error::Error;
use crate::failpoint::{self, Point};

/// What came of a send.
#[derive(Debug)]
pub(super) enum Sent {
    /// All targets were accepted.
    Done {
        /// UID of the object that was made.
        made: Option<String>,
    },
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
        /// Targets done before.
        done: i32,
        /// The target nobody knows of, and those not sent.
        failed: Vec<String>,
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
    /// The process was asked to end.
    Stopping,
}

/// Whether every target of a step that no earlier step changes is as it was planned.
pub(super) async fn check(
    client: &Client,
    step: &Step,
    touched: &BTreeSet<Key>,
) -> Result<Result<(), String>, Error> {
    let client = ClientDebug(client.clone());
    for target in step.targets.iter().filter(|t| !touched.contains(&key(t))) {
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

/// One step on its way, as the requester.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    client: ClientDebug,
    step: &'a Step,
    /// Patch or manifest in full; empty for a delete.
    text: String,
    step_id: String,
    /// Targets that an earlier step of the plan changed: their own precondition is void by design.
    touched: BTreeSet<Key>,
    brakes: Brakes<'a>,
}

impl<'a> Sender<'a> {
    /// A sender for one step.
    pub(super) fn new(
        client: &Client,
        step: &'a Step,
        text: Option<String>,
        step_id: String,
        touched: BTreeSet<Key>,
        brakes: Brakes<'a>,
    ) -> Self {
        Self {
            client: ClientDebug(client.clone()),
            step,
            text: text.unwrap_or_default(),
            step_id,
            touched,
            brakes,
        }
    }

    /// Reads every target anew, builds its write and has it dry-run.
    pub(super) async fn prepare(&self) -> Result<Result<Vec<Write<'a>>, NotReady>, Error> {
        let mut writes = vec![];
        for target in &self.step.targets {
            if self.brakes.stopping() {
                return Ok(Err(NotReady::Stopping));
            }
            match self.ready(target).await? {
                Ok(write) => writes.push(write),
                Err(not_ready) => return Ok(Err(not_ready)),
            }
        }
        Ok(Ok(writes))
    }

    /// One write, from the object as it is now. A conflict means that something (a status, say) moved in between: looked at
    /// again, a few times.
    async fn ready(&self, target: &'a Target) -> Result<Result<Write<'a>, NotReady>, Error> {
        let mut conflict = String::new();
        for _ in 0..MAX_CONFLICTS {
            let mut write = match self.build(target).await? {
                Ok(write) => write,
                Err(not_ready) => return Ok(Err(not_ready)),
            };
            let error = match try_out(&self.client, self.step, &mut write).await {
                Ok(after) => return Ok(self.as_approved(write, &after)),
                Err(error) => error,
            };
            match error
                .status()
                .map(|s| (s.code, kubechat_core::redact::shown(&s.message)))
            {
                Some((409, message)) if self.step.effect == Effect::Create => {
                    return Ok(Err(NotReady::Changed(message)));
                }
                Some((409, message)) => conflict = message,
                // A budget forbids it now: waited for where it is sent.
                Some((429, _)) if self.step.action == Action::Evict => return Ok(Ok(write)),
                Some((403, message)) => return Ok(Err(refused(reason::FORBIDDEN, message))),
                Some((code, message))
                    if (400..500).contains(&code) && code != 429 || is_for_good(code, &message) =>
                {
                    return Ok(Err(refused(reason::DRY_RUN_FAILED, message)));
                }
                _ => return Err(error),
            }
        }
        Ok(Err(NotReady::Changed(conflict)))
    }

    /// An apply changes no field that the plan does not name. Of a target that an earlier step changes the plan could not know.
    fn as_approved(&self, write: Write<'a>, after: &Value) -> Result<Write<'a>, NotReady> {
        let applies = self.step.action == Action::Apply && self.step.effect == Effect::Update;
        if !applies || self.touched.contains(&key(write.target)) {
            return Ok(write);
        }
        match apply::unsaid(self.step, &write.before, after) {
            None => Ok(write),
            Some(path) => Err(NotReady::Changed(format!(
                "{}: an apply of the manifest would now change {path} too, which the plan does not say",
                label(write.target)
            ))),
        }
    }

    async fn build(&self, target: &'a Target) -> Result<Result<Write<'a>, NotReady>, Error> {
        let kind = kind_of(target);
        let api = Objects::new(&self.client, &kind, target.namespace.as_deref());
        let fresh = match self.step.effect {
            Effect::Create => None,
            Effect::Update | Effect::Delete | Effect::Read => match api.find(&target.name).await {
                Ok(found) => found,
                Err(error) => match error.status().filter(|s| s.code == 403) {
                    Some(status) => {
                        return Ok(Err(refused(
                            reason::FORBIDDEN,
                            kubechat_core::redact::shown(&status.message),
                        )));
                    }
                    None => return Err(error),
                },
            },
        };
        let touched = self.touched.contains(&key(target));
        if let Some(changed) = changed(self.step, target, fresh.as_ref(), touched) {
            return Ok(Err(NotReady::Changed(changed)));
        }
        let now = fresh.as_ref().unwrap_or(&Value::Null);
        let built = match self.step.effect {
            Effect::Update if self.step.action == Action::Apply => {
                apply::body(&self.text, now, &self.step_id)
            }
            Effect::Update => {
                plan::final_patch(&self.text, self.step.subresource.as_deref(), now, &self.step_id)
            }
            Effect::Create => marked(&self.text, &self.step_id),
            Effect::Delete | Effect::Read => Ok(Value::Null),
        };
        let version = now
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .map(str::to_owned);
        Ok(match built {
            Ok(body) => Ok(Write {
                target,
                kind,
                body,
                version,
                force: false,
                was: standing(self.step.effect, target, fresh.as_ref()).line,
                before: fresh.unwrap_or(Value::Null),
            }),
            Err(message) => Err(refused(reason::INVALID, message)),
        })
    }

    /// Sends the writes one after the other; the first refusal stops. Leadership is asked before each, whether to stop, and
    /// whether somebody stopped the plan; `shown` is what the caches have held since it was read.
    /// `last_sent` is the id of the last one in the API server's own audit log.
    pub(super) async fn send(
        &self,
        writes: Vec<Write<'a>>,
        mut shown: Shown,
        last_sent: &mut Option<String>,
    ) -> Sent {
        let names: Vec<String> = writes.iter().map(|w| label(w.target)).collect();
        let mut made = None;
        for (index, write) in writes.into_iter().enumerate() {
            let failed: Vec<String> = names.iter().skip(index).take(MAX_NAMED).cloned().collect();
            let done = i32::try_from(index).unwrap_or(i32::MAX);
            let tail = format!("{index} of {} target(s) were done before", names.len());
            failpoint::at(Point::BeforeSend).await;
            if let Some(why) = self.brakes.pulled(&mut shown) {
                let message = format!("{why}; {} was not sent. {tail}", label(write.target));
                return Sent::Failed {
                    reason: reason::INTERRUPTED,
                    message,
                    done,
                    failed,
                };
            }
            let sent = self.one(index, write, &mut shown, last_sent).await;
            failpoint::at(Point::AfterSend).await;
            match sent {
                Ok(object) => made = mark::uid(&object).filter(|_| self.step.effect == Effect::Create),
                Err(Refusal::Answered { reason, message }) => {
                    return Sent::Failed {
                        reason,
                        message: format!("{message}. {tail}"),
                        done,
                        failed,
                    };
                }
                Err(Refusal::Silent(error)) => match self.lost(index).await {
                    Ok(None) => {}
                    Ok(Some(name)) => {
                        let message = format!(
                            "{error}; whether {name} was changed cannot be known. It is not sent again. {}. {tail}",
                            look_there(&self.step_id)
                        );
                        return Sent::Unknown {
                            message,
                            done,
                            failed,
                        };
                    }
                    Err(second) => {
                        let message = format!(
                            "{error}; looking for its effect failed too ({second}). It is not sent again. {}. {tail}",
                            look_there(&self.step_id)
                        );
                        return Sent::Unknown {
                            message,
                            done,
                            failed,
                        };
                    }
                },
            }
        }
        if made.is_none() {
            made = mark::made(&self.client, self.step, &self.step_id).await;
        }
        Sent::Done { made }
    }

    /// One write. A conflict means by definition that nothing was written, so it is built anew while the object still is
    /// what was approved; too many requests are waited for, bounded. An object that bears the mark has had this very write:
    /// something on the way repeated it. Returns the object after it, where there was an answer.
    async fn one(
        &self,
        index: usize,
        mut write: Write<'a>,
        shown: &mut Shown,
        last_sent: &mut Option<String>,
    ) -> Result<Value, Refusal> {
        let name = label(write.target);
        let mut last = None;
        let mut patience = Patience::of(self.step);
        for attempt in 0..patience.tries() {
            let audit_id = last_sent.insert(audit_id(&self.step_id, index, attempt));
            let error = match execute(&self.client, self.step, &write, Earnest::Yes { audit_id }).await {
                Ok(object) => return Ok(object),
                Err(error) => error,
            };
            let answered = |reason, error: &Error| Refusal::Answered {
                reason,
                message: format!("{name}: {error}"),
            };
            let interrupted = |why: &str, error: &Error| Refusal::Answered {
                reason: reason::INTERRUPTED,
                message: format!(
                    "{why} before {name} could be tried again; the API server's last word was: {error}"
                ),
            };
            match error.status().map(|s| s.code) {
                Some(404) if self.step.effect == Effect::Delete => return Ok(Value::Null),
                Some(409) => {
                    match bears_mark(&self.client, self.step, write.target, &self.step_id).await {
                        Ok(true) => return Ok(Value::Null),
                        Ok(false) if self.step.effect == Effect::Create => {
                            return Err(answered(reason::STALE, &error));
                        }
                        Ok(false) => {}
                        // It may have had this very write: that is not known.
                        Err(error) => return Err(Refusal::Silent(error)),
                    }
                    write = match self.ready(write.target).await {
                        Ok(Ok(write)) => write,
                        Ok(Err(NotReady::Changed(why))) => {
                            return Err(Refusal::Answered {
                                reason: reason::STALE,
                                message: why,
                            });
                        }
                        Ok(Err(NotReady::Refused { reason, message })) => {
                            return Err(Refusal::Answered { reason, message });
                        }
                        Ok(Err(NotReady::Stopping)) => return Err(interrupted(ASKED_TO_END, &error)),
                        Err(error) => return Err(answered(reason::UNREACHABLE, &error)),
                    };
                }
                Some(429) => {
                    let Some(pause) = patience.pause(&error, attempt) else {
                        return Err(answered(reason::STEP_FAILED, &error));
                    };
                    self.brakes.sleep(pause).await;
                    if self.brakes.stopping() {
                        return Err(interrupted(ASKED_TO_END, &error));
                    }
                }
                // An answer of the API server means that it did not happen; a server error, or one of a proxy that
                // waited too long (408), may hide that it did.
                Some(403) => return Err(answered(reason::FORBIDDEN, &error)),
                Some(code) if (400..500).contains(&code) && code != 408 => {
                    return Err(answered(reason::STEP_FAILED, &error));
                }
                Some(code) if error.status().is_some_and(|s| is_for_good(code, &s.message)) => {
                    return Err(answered(reason::STEP_FAILED, &error));
                }
                _ => return Err(Refusal::Silent(error)),
            }
            if let Some(why) = self.brakes.pulled(shown) {
                return Err(interrupted(&why, &error));
            }
            last = Some(error);
        }
        let message = last.map(|e| format!("{name}: {e}")).unwrap_or(name);
        Err(Refusal::Answered {
            reason: reason::STEP_FAILED,
            message,
        })
    }

    /// The name of target number `index` unless it bears the step's mark.
    async fn lost(&self, index: usize) -> Result<Option<String>, Error> {
        let Some(target) = self.step.targets.get(index) else {
            return Ok(None);
        };
        Ok((!bears_mark(&self.client, self.step, target, &self.step_id).await?).then(|| label(target)))
    }
}

/// The id of one request in the API server's own audit log: whoever finds the step there has all its writes, also those
/// whose answer was lost.
fn audit_id(step_id: &str, target: usize, attempt: u32) -> String {
    format!("{step_id}.{target}.{attempt}")
}

/// Why one write did not go through.
enum Refusal {
    /// The API server said no: it did not happen.
    Answered { reason: &'static str, message: String },
    /// No answer, or a server error: it may have happened.
    Silent(Error),
}

fn refused(reason: &'static str, message: String) -> NotReady {
    NotReady::Refused { reason, message }
}

/// What changed at a target since the plan. A target that an earlier step of the plan changed must be the same object only.
fn changed(step: &Step, target: &Target, fresh: Option<&Value>, touched: bool) -> Option<String> {
    if step.effect == Effect::Create {
        return None;
    }
    let Some(object) = fresh else {
        return Some(format!("{} is gone", label(target)));
    };
    if touched {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        return (uid != target.uid.as_deref()).then(|| {
            format!(
                "{} was deleted and created again since the plan was made",
                label(target)
            )
        });
    }
    plan::still_as_planned(target, object).err()
}
