//! A person who asks: creates turns, sees through one watch how they go, and confirms them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use http::Request;
use kube::api::{ObjectMeta, PostParams, WatchEvent};
use kube::{Api, Client};
use kubechat_crds::common::LocalRef;
use kubechat_crds::{Approval, ApprovalSpec, ChatRequest, ChatRequestSpec, DecisionKind, RequestPhase};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Longest wait for the next phase of a turn.
const PHASE_DEADLINE: Duration = Duration::from_secs(30);

/// What the watch tells of a turn; everything else is skipped while it is read.
#[derive(Clone, Debug, Deserialize)]
struct Seen {
    metadata: Named,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(default)]
    name: String,
    #[serde(default)]
    resource_version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<RequestPhase>,
    plan_ref: Option<Plan>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// The plan of a turn that waits.
#[derive(Clone, Debug, Deserialize)]
struct Plan {
    name: String,
    digest: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(default)]
    message: String,
}

type Open = Arc<Mutex<HashMap<String, watch::Sender<Status>>>>;

/// One person with one watch on all turns of a namespace.
#[derive(Debug)]
pub(super) struct Asker {
    requests: Api<ChatRequest>,
    approvals: Api<Approval>,
    open: Open,
    watch: JoinHandle<Result<()>>,
}

/// How long a turn took, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// From the create call until its plan waited.
    pub(super) planned: f64,
    /// From the create call until it was done.
    pub(super) done: f64,
}

impl Asker {
    /// Begins to watch; turns of before are not of interest.
    pub(super) async fn new(client: Client, namespace: &str) -> Result<Self> {
        let path = format!("/apis/kubechat.io/v1beta1/namespaces/{namespace}/chatrequests");
        let list = Request::get(format!("{path}?limit=1")).body(Vec::new())?;
        let listed: ListOnly = client.request(list).await.context("the turns cannot be listed")?;
        let version = listed.metadata.resource_version;
        let request = Request::get(format!("{path}?watch=true&resourceVersion={version}")).body(Vec::new())?;
        let events = client
            .request_events::<Seen>(request)
            .await
            .context("the turns cannot be watched")?;
        let open = Open::default();
        let theirs = Arc::clone(&open);
        let watch = tokio::spawn(async move {
            let ended = events.map(|event| take(&theirs, event?)).try_collect().await;
            // Whoever waits hears of the end.
            locked(&theirs).clear();
            ended
        });
        Ok(Self {
            requests: Api::namespaced(client.clone(), namespace),
            approvals: Api::namespaced(client, namespace),
            open,
            watch,
        })
    }

    /// Asks, and waits until there is a plan that waits. Returns after how many seconds.
    pub(super) async fn plan(&self, name: &str, prompt: &str) -> Result<f64> {
        let mut progress = self.follow(name);
        let (seconds, _) = self.ask(name, prompt, &mut progress).await?;
        locked(&self.open).remove(name);
        Ok(seconds)
    }

    /// Asks, confirms as soon as the plan waits, and waits until it is done.
    pub(super) async fn turn(&self, name: &str, prompt: &str) -> Result<Turn> {
        let start = Instant::now();
        let mut progress = self.follow(name);
        let (planned, plan) = self.ask(name, prompt, &mut progress).await?;
        let spec = ApprovalSpec {
            plan_ref: LocalRef { name: plan.name },
            plan_digest: plan.digest,
            decision: DecisionKind::Approve,
            ..ApprovalSpec::default()
        };
        let mut approval = Approval::new(name, spec);
        approval.metadata = named(name);
        let what = || format!("the plan of turn {name} was not confirmed");
        self.approvals
            .create(&PostParams::default(), &approval)
            .await
            .with_context(what)?;
        reach(&mut progress, name, RequestPhase::Succeeded).await?;
        locked(&self.open).remove(name);
        let done = start.elapsed().as_secs_f64();
        Ok(Turn { planned, done })
    }

    async fn ask(
        &self,
        name: &str,
        prompt: &str,
        progress: &mut watch::Receiver<Status>,
    ) -> Result<(f64, Plan)> {
        let start = Instant::now();
        let spec = ChatRequestSpec {
            prompt: prompt.to_owned(),
            ..ChatRequestSpec::default()
        };
        let mut request = ChatRequest::new(name, spec);
        request.metadata = named(name);
        let what = || format!("turn {name} ({prompt}) was not created");
        self.requests
            .create(&PostParams::default(), &request)
            .await
            .with_context(what)?;
        let waiting = reach(progress, name, RequestPhase::AwaitingApproval).await?;
        let plan = waiting
            .plan_ref
            .with_context(|| format!("turn {name} waits without a plan"))?;
        Ok((start.elapsed().as_secs_f64(), plan))
    }

    fn follow(&self, name: &str) -> watch::Receiver<Status> {
        let (sender, progress) = watch::channel(Status::default());
        locked(&self.open).insert(name.to_owned(), sender);
        progress
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[derive(Clone, Debug, Deserialize)]
struct ListOnly {
    metadata: Named,
}

fn locked(open: &Open) -> MutexGuard<'_, HashMap<String, watch::Sender<Status>>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn take(open: &Open, event: WatchEvent<Seen>) -> Result<()> {
    match event {
        WatchEvent::Added(seen) | WatchEvent::Modified(seen) => {
            if let Some(sender) = locked(open).get(&seen.metadata.name) {
                sender.send_replace(seen.status);
            }
            Ok(())
        }
        WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => Ok(()),
        WatchEvent::Error(status) => bail!("the watch of the turns ended: {}", status.message),
    }
}

/// Waits until the turn is in this phase; another end is an error.
async fn reach(progress: &mut watch::Receiver<Status>, name: &str, wanted: RequestPhase) -> Result<Status> {
    let over = |status: &Status| {
        status
            .phase
            .is_some_and(|phase| phase == wanted || has_ended(phase))
    };
    let seen = timeout(PHASE_DEADLINE, progress.wait_for(over)).await;
    let seen =
        seen.with_context(|| format!("turn {name} did not become {wanted:?} in {PHASE_DEADLINE:?}"))?;
    let status = seen.context("the watch of the turns ended")?.clone();
    if status.phase == Some(wanted) {
        return Ok(status);
    }
    let said: Vec<&str> = status
        .conditions
        .iter()
        .map(|condition| condition.message.as_str())
        .collect();
    bail!(
        "turn {name} became {:?} instead of {wanted:?}: {}",
        status.phase,
        said.join("; ")
    )
}

fn has_ended(phase: RequestPhase) -> bool {
    match phase {
        RequestPhase::Pending
        | RequestPhase::Interpreting
        | RequestPhase::Planning
        | RequestPhase::AwaitingApproval
        | RequestPhase::Approved
        | RequestPhase::Executing => false,
        RequestPhase::NeedsInput
        | RequestPhase::Succeeded
        | RequestPhase::Failed
        | RequestPhase::Denied
        | RequestPhase::Blocked
        | RequestPhase::Expired
        | RequestPhase::Cancelled
        | RequestPhase::Stale
        | RequestPhase::Interrupted => true,
    }
}
