//! Follows a turn to its end, through lost connections: shows what was understood, the plan, what is waited for and
//! what is being done; asks the requester to confirm where the policy lets him.
//!
//! **Invariant:** nothing here changes the turn but a confirmation the person gave; leaving (Ctrl-C, timeout) leaves
//! the turn as it is and says how to go on.

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::watcher;
use kubechat_crds::{Approval, ChatRequest, CommandPlan, DecisionKind, RequestPhase};
use tokio::time::Instant;

use super::client::{Changes, Cluster, Kind, next};
use super::decide;
use super::error::CliError;
use super::exit::Exit;
use super::render::{Tone, answer, plan, progress, status};
use super::turn::{Standing, Turn, may_self_confirm};
use super::ui::{Interrupts, Reply, Ui, is_yes};

/// Whether the requester is asked to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirm {
    /// Ask, where there is somebody to ask.
    Ask,
    /// Said already (`--yes`).
    Yes,
    /// Only watch.
    Never,
}

/// How to follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Whether the requester is asked to confirm.
    pub(crate) confirm: Confirm,
    /// Whether to wait for approval and execution.
    pub(crate) wait: bool,
    /// Until when.
    pub(crate) deadline: Instant,
}

/// Follows the turn. Returns it as it was last seen, and how it ended for this person.
pub(crate) async fn follow(
    cluster: &Cluster,
    ui: &mut Ui,
    turn: Turn,
    how: How,
) -> Result<(Turn, Exit), CliError> {
    let me = match how.confirm {
        Confirm::Ask | Confirm::Yes => cluster.whoami().await.unwrap_or_default(),
        Confirm::Never => String::new(),
    };
    let requests = turn
        .request
        .as_ref()
        .map(|request| cluster.watch(&request.name_any()));
    let plans = turn.plan_name().map(|plan| cluster.watch(&plan));
    let mut follower = Follower {
        cluster,
        ui,
        how,
        me,
        turn,
        understood: false,
        shown: None,
        told_who_decides: false,
        connection_lost: false,
        requests,
        plans,
    };
    let exit = follower.run().await;
    follower.ui.quiet();
    Ok((follower.turn, exit?))
}

struct Follower<'a> {
    cluster: &'a Cluster,
    ui: &'a mut Ui,
    how: How,
    /// Username; empty where nobody is asked to confirm.
    me: String,
    turn: Turn,
    understood: bool,
    /// The plan as the person last saw it.
    shown: Option<CommandPlan>,
    told_who_decides: bool,
    connection_lost: bool,
    requests: Option<Changes<ChatRequest>>,
    plans: Option<Changes<CommandPlan>>,
}

impl Follower<'_> {
    async fn run(&mut self) -> Result<Exit, CliError> {
        let mut interrupts = Interrupts::listen();
        loop {
            if let Some(exit) = self.look().await? {
                return Ok(exit);
            }
            self.show_progress();
            tokio::select! {
                change = next(&mut self.requests) => self.request_changed(change)?,
                change = next(&mut self.plans) => self.plan_changed(change)?,
                () = tokio::time::sleep_until(self.how.deadline) => return Ok(self.late()),
                () = interrupts.next() => return Ok(self.leave(Exit::Interrupted, "Left alone, not stopped.")),
            }
        }
    }

    fn show_progress(&mut self) {
        if self.connection_lost {
            self.ui
                .progress("the connection to the API server broke; trying again");
        } else {
            self.ui.progress(&progress::now_line(&self.turn));
        }
    }

    /// Shows what is new and decides whether this is the end.
    async fn look(&mut self) -> Result<Option<Exit>, CliError> {
        self.show_understood();
        let standing = self.turn.standing();
        if let Standing::Finished(exit) = standing {
            self.finish().await?;
            return Ok(Some(exit));
        }
        self.show_plan();
        if self.shown.is_none() {
            return Ok(None);
        }
        if standing == Standing::AwaitingApproval && !self.told_who_decides {
            return self.awaiting().await;
        }
        Ok((!self.how.wait && self.is_begun()).then_some(Exit::Done))
    }

    fn show_understood(&mut self) {
        let Some(request) = self.turn.request.as_ref().filter(|_| !self.understood) else {
            return;
        };
        let text = answer::understood(&self.ui.look, request);
        self.understood = !text.is_empty();
        self.ui.show(&text);
    }

    /// The whole plan once, then only what changed.
    fn show_plan(&mut self) {
        let Some(now) = &self.turn.plan else { return };
        let text = match &self.shown {
            None => format!("\n{}\n", plan::plan(&self.ui.look, now, Timestamp::now())),
            Some(before) => progress::news(&self.ui.look, Some(before), now),
        };
        self.ui.show(&text);
        self.shown = Some(now.clone());
    }

    fn is_begun(&self) -> bool {
        let phase = self
            .turn
            .request
            .as_ref()
            .and_then(|r| r.status.as_ref())
            .and_then(|s| s.phase);
        matches!(phase, Some(RequestPhase::Approved | RequestPhase::Executing))
    }

    /// A waiting plan is on the screen: confirm it, or say who can.
    async fn awaiting(&mut self) -> Result<Option<Exit>, CliError> {
        let Some(plan) = self.turn.plan.clone() else {
            return Ok(None);
        };
        self.told_who_decides = true;
        if may_self_confirm(&plan, &self.me, Timestamp::now()) {
            match self.how.confirm {
                Confirm::Yes => return self.confirm(&plan).await,
                Confirm::Ask if self.ui.interactive() => return self.ask(&plan).await,
                Confirm::Ask | Confirm::Never => {}
            }
        }
        let hints = plan::decide_hints(&self.ui.look, &plan, &self.ui.hints, Timestamp::now());
        self.ui.show(&hints);
        Ok((!self.how.wait).then_some(Exit::Done))
    }

    async fn ask(&mut self, plan: &CommandPlan) -> Result<Option<Exit>, CliError> {
        match self.ui.ask("Confirm? [y/N]", Some(self.how.deadline)).await {
            Reply::Line(line) if is_yes(&line) => self.confirm(plan).await,
            Reply::Line(_) => Ok(Some(
                self.leave(Exit::Waiting, "Not confirmed; nothing is executed."),
            )),
            Reply::Interrupted => Ok(Some(
                self.leave(Exit::Interrupted, "Not confirmed; nothing is executed."),
            )),
            Reply::TimedOut => Ok(Some(self.late())),
        }
    }

    async fn confirm(&mut self, plan: &CommandPlan) -> Result<Option<Exit>, CliError> {
        let approval: Approval = decide::approval(plan, DecisionKind::Approve, "", None);
        if let Err(refused) = self.cluster.create(&approval).await {
            self.leave(Exit::Refused, "Not confirmed; the plan still waits.");
            return Err(refused);
        }
        self.ui.say(Tone::Good, &format!("Confirmed as {}.", self.me));
        Ok((!self.how.wait).then_some(Exit::Done))
    }

    /// The end: the plan as it is now, the answer, what was done and how to undo it.
    async fn finish(&mut self) -> Result<(), CliError> {
        if let Some(name) = self.turn.plan_name() {
            // The request may have ended before the last change of the plan arrived here.
            let plan = self.cluster.get(&name).await?;
            self.turn.plan = plan.or_else(|| self.turn.plan.take());
        }
        self.show_plan();
        if let Some(request) = &self.turn.request {
            self.ui.show(&answer::answer(&self.ui.look, request));
        }
        self.ui
            .show(&status::ending(&self.ui.look, &self.turn, &self.ui.hints));
        Ok(())
    }

    fn request_changed(
        &mut self,
        change: Result<Option<ChatRequest>, watcher::Error>,
    ) -> Result<(), CliError> {
        match self.received(change)? {
            Some(Some(request)) => self.turn.request = Some(request),
            Some(None) => return Err(self.gone("turn")),
            None => {}
        }
        if self.plans.is_none() {
            self.plans = self.turn.plan_name().map(|plan| self.cluster.watch(&plan));
        }
        Ok(())
    }

    fn plan_changed(&mut self, change: Result<Option<CommandPlan>, watcher::Error>) -> Result<(), CliError> {
        match self.received(change)? {
            Some(Some(plan)) => self.turn.plan = Some(plan),
            Some(None) if self.turn.request.is_none() => return Err(self.gone("plan")),
            Some(None) | None => {}
        }
        Ok(())
    }

    /// A change, or `None` where the connection broke and is being made again.
    fn received<K: Kind>(
        &mut self,
        change: Result<Option<K>, watcher::Error>,
    ) -> Result<Option<Option<K>>, CliError> {
        match change {
            Ok(change) => {
                self.connection_lost = false;
                Ok(Some(change))
            }
            Err(broken) => match self.cluster.watch_failed::<K>(&broken) {
                Some(error) => Err(error),
                None => {
                    self.connection_lost = true;
                    Ok(None)
                }
            },
        }
    }

    fn gone(&self, what: &str) -> CliError {
        let name = self.turn.name();
        CliError::Other(format!(
            "the {what} {name} was deleted while it was followed; what became of it is in the audit log"
        ))
    }

    fn late(&mut self) -> Exit {
        let now = progress::now_line(&self.turn);
        self.leave(Exit::Waiting, &format!("Not finished in time: {now}."))
    }

    /// Says how to go on with a turn that is left as it is.
    fn leave(&mut self, exit: Exit, why: &str) -> Exit {
        self.ui.quiet();
        let name = self.turn.name();
        self.ui.say(Tone::Warn, why);
        self.ui
            .hint("Go on watching", &self.ui.hints.own(&format!("watch {name}")));
        self.ui
            .hint("Withdraw it", &self.ui.hints.own(&format!("cancel {name}")));
        exit
    }
}
