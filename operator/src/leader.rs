//! Leader election over a Lease, fenced: the leader stops acting before another may start, the number of transitions is
//! the fence of the audit log, and a lost lease ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use kubechat_core::lease::{Seen, Step, evaluate, may_act};

use crate::cluster::client::call;
use crate::error::Error;

/// Name of the operator's Lease.
pub const LEASE: &str = "kubechat-operator";
/// Name of the interpreter's Lease.
pub const INTERPRETER_LEASE: &str = "kubechat-interpreter";
/// Tries to give it back; then it runs out by itself.
const RELEASES: usize = 3;

/// Whether this process leads, asked before every effect.
#[derive(Clone, Debug)]
pub struct Leadership {
    renewed: Arc<Mutex<Instant>>,
    lost: Arc<AtomicBool>,
    duration: Duration,
    /// How often the holder of the Lease changed: the fence of the audit log.
    pub fence: u64,
}

impl Leadership {
    /// Of a process that leads from now on.
    #[cfg(test)]
    pub(crate) fn held(fence: u64) -> Self {
        Self {
            renewed: Arc::new(Mutex::new(Instant::now())),
            lost: Arc::default(),
            duration: Duration::from_secs(3600),
            fence,
        }
    }

    /// Another process leads.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    /// Fails when this process may not act any more. Called right before every effect.
    ///
    /// # Errors
    /// [`Error::NotLeader`].
    pub fn check(&self) -> Result<(), Error> {
        let since = self
            .renewed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed();
        if !self.lost.load(Ordering::SeqCst) && may_act(since, self.duration) {
            Ok(())
        } else {
            Err(Error::NotLeader)
        }
    }
}

/// An operator that wants to lead.
#[derive(Debug)]
pub struct Candidate {
    api: ApiDebug,
    lease: &'static str,
    me: String,
    duration: Duration,
    last: Option<(Seen, Instant)>,
    /// When the last accepted renewal was sent: the lease counts from there, not from the answer.
    sent: Instant,
    /// Highest resourceVersion of the Lease seen.
    newest: u64,
}

/// What one look at the Lease showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// This process holds it, with so many transitions.
    Holds(i64),
    /// Somebody else does.
    Follows,
    /// It is older than it was: the cluster's state was put back from a backup.
    PutBack,
}

struct ApiDebug(Api<Lease>);

impl std::fmt::Debug for ApiDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api<Lease>")
    }
}

impl Candidate {
    /// A candidate of this name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, me: &str, duration: Duration) -> Self {
        let api = ApiDebug(Api::namespaced(client, namespace));
        Self {
            api,
            lease: LEASE,
            me: me.to_owned(),
            duration,
            last: None,
            sent: Instant::now(),
            newest: 0,
        }
    }

    /// The same for another Lease than the operator's.
    #[must_use]
    pub fn of(self, lease: &'static str) -> Self {
        Self { lease, ..self }
    }

    /// Waits until this process leads. Meanwhile `stands_by` says whether it could: it sees that another one leads. (Who
    /// cannot see that would not take over either.)
    pub async fn acquire(&mut self, stands_by: &AtomicBool) -> Leadership {
        loop {
            match self.attempt().await {
                Ok(Standing::Holds(transitions)) => {
                    return Leadership {
                        renewed: Arc::new(Mutex::new(self.sent)),
                        lost: Arc::new(AtomicBool::new(false)),
                        duration: self.duration,
                        fence: u64::try_from(transitions).unwrap_or_default(),
                    };
                }
                // Who does not lead keeps nothing that could be too new.
                Ok(Standing::Follows | Standing::PutBack) => stands_by.store(true, Ordering::SeqCst),
                Err(problem) => {
                    stands_by.store(false, Ordering::SeqCst);
                    tracing::warn!(%problem, "the lease could not be taken; trying again");
                }
            }
            tokio::time::sleep(self.duration / 8).await;
        }
    }

    /// Renews until this process may not lead any more, and returns why.
    pub async fn hold(&mut self, leadership: &Leadership) -> &'static str {
        const LOST: &str = "the lease was lost, so this process ends; another one leads";
        let why = loop {
            tokio::time::sleep(self.duration / 5).await;
            match self.attempt().await {
                Ok(Standing::Holds(transitions))
                    if u64::try_from(transitions).ok() == Some(leadership.fence) =>
                {
                    *leadership.renewed.lock().unwrap_or_else(PoisonError::into_inner) = self.sent;
                }
                Ok(Standing::PutBack) => {
                    // Its watches would wait for versions that come late or never, and its caches tell of the future.
                    break "the cluster's state was put back from a backup, so this process ends and starts with what is there now";
                }
                Ok(Standing::Holds(_) | Standing::Follows) => break LOST,
                Err(problem) => {
                    tracing::warn!(%problem, "the lease could not be renewed");
                    if leadership.check().is_err() {
                        break LOST;
                    }
                }
            }
        };
        leadership.lost.store(true, Ordering::SeqCst);
        why
    }

    /// Gives the lease back, so that another may lead at once.
    pub async fn release(&self, leadership: &Leadership) {
        leadership.lost.store(true, Ordering::SeqCst);
        // A renewal that was cut off may land in between.
        for _ in 0..RELEASES {
            let Ok(mut lease) = call("read the lease", self.api.0.get(self.lease)).await else {
                return;
            };
            let mine = |s: &&mut LeaseSpec| s.holder_identity.as_deref() == Some(self.me.as_str());
            let Some(spec) = lease.spec.as_mut().filter(mine) else {
                return;
            };
            spec.holder_identity = Some(String::new());
            let params = PostParams::default();
            let replaced = self.api.0.replace(self.lease, &params, &lease);
            match call("release the lease", replaced).await {
                Ok(_) => return,
                Err(problem) => tracing::warn!(%problem, "the lease was not released yet"),
            }
        }
    }

    /// One look at the Lease and what follows.
    async fn attempt(&mut self) -> Result<Standing, Error> {
        let found = match call("read the lease", self.api.0.get(self.lease)).await {
            Ok(lease) => Some(lease),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        if !self.advances(found.as_ref()) {
            return Ok(Standing::PutBack);
        }
        let seen = found.as_ref().map(|lease| seen(lease, self.duration));
        let observed = match (&seen, &self.last) {
            (Some(now), Some((before, since))) if now == before => since.elapsed(),
            _ => Duration::ZERO,
        };
        if observed.is_zero() {
            self.last = seen.clone().map(|s| (s, Instant::now()));
        }
        let (sent, params) = (Instant::now(), PostParams::default());
        let held = match evaluate(&self.me, seen.as_ref(), observed) {
            Step::Follow(_) => return Ok(Standing::Follows),
            Step::Create => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.lease.into()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.record(1)),
                };
                let create = self.api.0.create(&params, &lease);
                (call("create the lease", create).await?, 1)
            }
            step @ (Step::Renew | Step::TakeOver(_)) => {
                let transitions = match step {
                    Step::TakeOver(n) => n,
                    Step::Renew | Step::Create | Step::Follow(_) => {
                        seen.as_ref().map_or(1, |s| s.transitions)
                    }
                };
                let Some(mut lease) = found else {
                    return Ok(Standing::Follows);
                };
                lease.spec = Some(self.record(transitions));
                // The resourceVersion read above makes one of two writers lose.
                let replace = self.api.0.replace(self.lease, &params, &lease);
                match call("replace the lease", replace).await {
                    Ok(lease) => (lease, transitions),
                    Err(error) if error.status().is_some_and(|s| s.code == 409) => {
                        return Ok(Standing::Follows);
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        self.sent = sent;
        let (lease, transitions) = held;
        Ok(if self.advances(Some(&lease)) {
            Standing::Holds(transitions)
        } else {
            Standing::PutBack
        })
    }

    /// Whether the Lease is not older than it was (resourceVersions of one kind can be compared, KEP-5504). Gone is not
    /// older: whoever makes it anew sees its version. Starts anew after a step back, which is told once.
    fn advances(&mut self, lease: Option<&Lease>) -> bool {
        let version = lease.and_then(|l| l.metadata.resource_version.as_deref()?.parse().ok());
        let before = self.newest;
        self.newest = version.unwrap_or(before);
        self.newest >= before
    }

    fn record(&self, transitions: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: i32::try_from(transitions).ok(),
            ..LeaseSpec::default()
        }
    }
}

fn seen(lease: &Lease, default: Duration) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        transitions: i64::from(spec.lease_transitions.unwrap_or_default()),
        renewed: spec.renew_time.map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        duration: spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok())
            .map_or(default, Duration::from_secs),
    }
}
