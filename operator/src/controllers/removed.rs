//! Plans that are removed, by whomever: what must still be told or kept in mind of them.
//!
//! **Invariant:** what is forgotten here (no room, a process that ends) is found in the audit log by the next look: that of
//! this process, or of the next one that leads.

mod emergency;
mod look;
mod telling;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kubechat_crds::CommandPlan;
use kubechat_crds::condition::is_finished;
use tokio::sync::mpsc;

use crate::audit::Audit;
use crate::context::Context;
use crate::error::Error;
use crate::past::{Removed, says_begun};
use emergency::Unreviewed;
use telling::Telling;

/// Removals that wait to be told of. What finds no room is looked for in the log.
const MAX_WAITING: usize = 256;
/// How long a process that is asked to end goes on telling of plans that were removed before: as long as steps under way may
/// take to end, and a few seconds more. The next leader finds the others in the log.
const LAST_WORDS: Duration = if cfg!(test) {
    Duration::from_secs(2)
} else {
    Duration::from_secs(10)
};

/// What is to be done about a removal.
enum Left {
    /// It is told.
    Unreviewed(Box<Unreviewed>),
    /// The log is asked what became of it.
    Unsaid,
    /// It had not ended: it is told of, if it was begun.
    Midway(Box<CommandPlan>),
}

/// Takes what the watches see leave.
#[derive(Clone)]
pub struct Leaving {
    queue: mpsc::Sender<Left>,
    /// Something found no room.
    missed: Arc<AtomicBool>,
    /// What is kept in mind.
    pub(crate) past: Arc<Removed>,
}

/// What has left and was not told of yet.
pub struct Waiting {
    queue: mpsc::Receiver<Left>,
    missed: Arc<AtomicBool>,
    /// What is kept in mind.
    past: Arc<Removed>,
    /// Entries of the last hour of the log that could not be read.
    unread: u64,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaving")
    }
}

/// The two ends, and in mind what the log tells of the last hour.
///
/// # Errors
/// When the log does not answer.
pub async fn begin(audit: &Audit) -> Result<(Leaving, Waiting), Error> {
    let (past, unread) = Removed::read(audit, Timestamp::now()).await?;
    let (past, (queue, waiting)) = (Arc::new(past), mpsc::channel(MAX_WAITING));
    let missed: Arc<AtomicBool> = Arc::default();
    let waiting = Waiting {
        queue: waiting,
        missed: Arc::clone(&missed),
        past: Arc::clone(&past),
        unread,
    };
    Ok((Leaving { queue, missed, past }, waiting))
}

impl Leaving {
    /// A plan was removed. It is in mind before the cache forgets it: there is no moment in which it does not count.
    pub fn plan(&self, plan: &CommandPlan) {
        let begun = self.past.note(plan, Timestamp::now());
        match Unreviewed::of(plan) {
            Some(unreviewed) => self.leave(Left::Unreviewed(Box::new(unreviewed))),
            // Its status did not get to say what was begun, nor on whose word; or that is being found out at this moment.
            None if begun && !says_begun(plan) => self.leave(Left::Unsaid),
            None => {}
        }
        let ended = plan.status.as_ref().is_some_and(|s| is_finished(&s.conditions));
        // Whether it was begun is for the log to say.
        if !ended {
            self.leave(Left::Midway(Box::new(plan.clone())));
        }
    }

    /// A plan was removed that could not be read: only the log tells what became of it.
    pub fn unread(&self) {
        self.leave(Left::Unsaid);
    }

    fn leave(&self, left: Left) {
        if self.queue.try_send(left).is_err() {
            self.missed.store(true, Ordering::SeqCst);
            tracing::error!(
                "more than {MAX_WAITING} removed plans wait to be told of; the others are looked for in the audit log"
            );
        }
    }
}

impl Waiting {
    /// Tells of what left while nobody led, and then of each that leaves, until the watches end or the process is asked to.
    pub async fn tell(self, ctx: Arc<Context>) {
        let Self {
            mut queue,
            missed,
            past,
            unread,
        } = self;
        let mut telling = Telling::new(&ctx, &past);
        if unread > 0 {
            telling.damaged(unread, &format!(
                "{unread} entries of its last hour cannot be read or are not what was recorded, so what they tell of may count for less in the limits and the judgement of an hour"
            ));
        }
        tokio::select! {
            biased;
            () = ctx.pace.asked_to_end() => {}
            () = telling.until_over(&mut queue, &missed) => {}
        }
        let last_words = telling.last_words(&mut queue);
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::warn!(
                "of some removed plans it is not told what became of them; the next leader finds them in the audit log"
            );
        }
    }
}

#[cfg(test)]
#[path = "removed_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "removed_midway_tests.rs"]
mod midway_tests;

#[cfg(test)]
#[path = "removed_unseen_tests.rs"]
mod unseen_tests;
