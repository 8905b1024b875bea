//! Verification of a log, entry by entry. Pure: rows come in, a [`Report`] comes out.
//!
//! Every row is checked against itself and its neighbours (content), then against the chain (links). A link that
//! is wrong is explained by the next row: see `LinkFault`. What each finding is called: `report.rs`.
//! Called by the stores when they open (for the last entries) and by `kubechat audit verify`.

use jiff::Timestamp;

use crate::chain::{ChainKey, ChainMac, Leaf, same_mac};
use crate::draft::StepRole;
use crate::entry::{Entry, commitment};
use crate::report::{Report, Verdict};

/// One stored entry, as it stands in the store: nothing about it is trusted.
#[derive(Debug, Clone)]
pub struct Row {
    /// Number by which the store finds it.
    pub seq: u64,
    /// Header bytes.
    pub header: Vec<u8>,
    /// Stored leaf hash.
    pub leaf: Vec<u8>,
    /// Stored link.
    pub mac: Vec<u8>,
    /// Id of the key that made the link.
    pub key_id: String,
    /// Copies of header fields for searching.
    pub columns: Columns,
    /// Salt of the payload commitment.
    pub salt: Vec<u8>,
    /// Payload bytes.
    pub payload: Vec<u8>,
    /// Step whose execution lock names this entry.
    pub intent_lock: Option<String>,
    /// Step whose final result is this entry.
    pub result_lock: Option<String>,
}

/// The copies of header fields that a store keeps for searching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Microseconds since 1970.
    pub time_us: i64,
    /// Event type.
    pub event_type: String,
    /// Outcome.
    pub outcome: String,
    /// Username.
    pub username: String,
    /// ChatRequest name.
    pub request: Option<String>,
    /// ChatRequest uid.
    pub request_uid: Option<String>,
    /// CommandPlan name.
    pub plan: Option<String>,
    /// CommandPlan uid.
    pub plan_uid: Option<String>,
    /// Step id.
    pub step_id: Option<String>,
}

impl Columns {
    /// What the columns of this entry must be.
    pub fn of(entry: &Entry) -> Self {
        Self {
            time_us: entry.time.as_microsecond(),
            event_type: entry.event_type.as_str().to_owned(),
            outcome: entry.outcome.as_str().to_owned(),
            username: entry.actor.username.clone(),
            request: entry.ids.request.clone(),
            request_uid: entry.ids.request_uid.clone(),
            plan: entry.ids.plan.clone(),
            plan_uid: entry.ids.plan_uid.clone(),
            step_id: entry.ids.step_id.clone(),
        }
    }
}

/// A stored entry that cannot even be read as one.
#[derive(Debug, Clone)]
pub struct UnreadableRow {
    /// Its number, where the store could tell.
    pub seq: Option<u64>,
    /// What is wrong.
    pub why: String,
}

/// What a store says beside the entries.
#[derive(Debug, Clone)]
pub struct Ending {
    /// The head row's number and link; none when it is missing or unreadable.
    pub head: Option<(u64, Vec<u8>)>,
    /// Smallest number of an entry that something points to and that is not there; or why nobody can tell.
    pub orphan: Result<Option<u64>, String>,
}

/// A first wrong thing and what to say about it.
#[derive(Debug, Clone)]
struct Finding {
    seq: u64,
    why: String,
}

/// A link that is wrong; the next entry tells why.
#[derive(Debug, Clone, Copy)]
struct BrokenLink {
    seq: u64,
    /// None when it does not even have the size of a link.
    stored: Option<ChainMac>,
}

/// Verifies rows in the order of their numbers, in constant memory.
#[derive(Debug)]
pub struct Verifier<'k> {
    key: &'k ChainKey,
    origin: String,
    next: u64,
    last_time: Option<Timestamp>,
    /// The chain computed from content.
    chain: ChainMac,
    /// Whether an entry verified: then the key is the right one.
    key_proven: bool,
    entries: u64,
    first: Option<u64>,
    last: Option<u64>,
    content: Option<Finding>,
    pending: Option<BrokenLink>,
    /// The first chain problem, once it is known why.
    links: Option<(Finding, LinkFault)>,
}

/// Why a link is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkFault {
    /// The content under it was replaced.
    Content,
    /// Only the stored link was changed.
    LinkOnly,
    /// Nothing verifies: another key.
    Key,
}

impl<'k> Verifier<'k> {
    /// Verifies from the first entry on.
    pub fn new(key: &'k ChainKey, origin: &str) -> Self {
        Self::resume(key, origin, 0, key.genesis(origin))
    }

    /// Verifies from the entry after `seq` on, whose link is believed.
    pub fn resume(key: &'k ChainKey, origin: &str, seq: u64, mac: ChainMac) -> Self {
        Self {
            key,
            origin: origin.to_owned(),
            next: seq.saturating_add(1),
            last_time: None,
            chain: mac,
            key_proven: false,
            entries: 0,
            first: None,
            last: None,
            content: None,
            pending: None,
            links: None,
        }
    }

    /// Takes the next row.
    pub fn push(&mut self, row: Result<Row, UnreadableRow>) {
        self.entries = self.entries.saturating_add(1);
        let seq = match &row {
            Ok(row) => Some(row.seq),
            Err(unreadable) => unreadable.seq,
        };
        self.first = self.first.or(seq);
        self.last = seq.or(self.last);
        if self.content.is_some() {
            return;
        }
        match row {
            Ok(row) => match self.check_content(&row) {
                Ok(leaf) => self.check_link(&row, leaf),
                Err(finding) => self.content = Some(finding),
            },
            Err(unreadable) => {
                self.content = Some(Finding {
                    seq: unreadable.seq.unwrap_or(self.next),
                    why: unreadable.why,
                });
            }
        }
    }

    /// Ends the verification.
    pub fn finish(mut self, ending: &Ending) -> Report {
        self.settle_with_head(ending);
        let verdict = self.verdict(ending);
        Report {
            origin: self.origin,
            key_id: self.key.id().to_owned(),
            entries: self.entries,
            first_seq: self.first,
            last_seq: self.last,
            head_mac: self.chain.to_string(),
            verdict,
        }
    }

    /// What anyone can check without the key.
    fn check_content(&mut self, row: &Row) -> Result<Leaf, Finding> {
        let bad = |seq, why: &str| {
            Err(Finding {
                seq,
                why: why.to_owned(),
            })
        };
        if row.seq != self.next {
            let expected = self.next;
            return bad(
                expected.min(row.seq),
                &format!("entry {expected} is missing; entry {} follows", row.seq),
            );
        }
        let leaf = Leaf::of(&row.header);
        if row.leaf != leaf.0 {
            return bad(row.seq, "the header does not match its leaf hash");
        }
        let entry = Entry::parse(&row.header).map_err(|why| Finding { seq: row.seq, why })?;
        if entry.seq != row.seq {
            return bad(row.seq, &format!("the header is that of entry {}", entry.seq));
        }
        if Columns::of(&entry) != row.columns {
            return bad(row.seq, "a search column does not match the header");
        }
        if commitment(&row.salt, &row.payload) != entry.payload_commitment {
            return bad(row.seq, "the payload does not match the header");
        }
        if self.last_time.is_some_and(|last| entry.time <= last) {
            return bad(row.seq, "its time is not after the time of the entry before");
        }
        self.check_locks(row, &entry)?;
        self.last_time = Some(entry.time);
        self.next = self.next.saturating_add(1);
        Ok(leaf)
    }

    /// An entry and the execution lock of its step belong together, both ways.
    fn check_locks(&self, row: &Row, entry: &Entry) -> Result<(), Finding> {
        let step = entry.ids.step_id.as_deref();
        let (intent, result) = match StepRole::of(entry.event_type, entry.outcome, step) {
            StepRole::Intent => (step, None),
            StepRole::Result => (None, step),
            StepRole::None => (None, None),
        };
        if row.intent_lock.as_deref() == intent && row.result_lock.as_deref() == result {
            return Ok(());
        }
        Err(Finding {
            seq: row.seq,
            why: "the execution lock of its step does not match the entry".to_owned(),
        })
    }

    fn check_link(&mut self, row: &Row, leaf: Leaf) {
        self.chain = self.key.link(self.chain, leaf);
        if self.links.is_some() {
            return;
        }
        let stored = <[u8; 32]>::try_from(row.mac.as_slice()).ok().map(ChainMac);
        let fits = stored.is_some_and(|stored| same_mac(self.chain, stored));
        if let Some(broken) = self.pending.take() {
            let after_broken = broken.stored.map(|before| self.key.link(before, leaf));
            let fault = if fits {
                LinkFault::LinkOnly
            } else if self.key_proven || (after_broken.is_some() && after_broken == stored) {
                LinkFault::Content
            } else {
                LinkFault::Key
            };
            self.decide(broken.seq, fault);
        } else if !fits {
            self.pending = Some(BrokenLink { seq: row.seq, stored });
        } else if row.key_id == self.key.id() {
            self.key_proven = true;
        } else {
            let why = "it names another key than the one that made its link".to_owned();
            self.content = Some(Finding { seq: row.seq, why });
        }
    }

    /// The head row stands for the entry that would follow the last.
    fn settle_with_head(&mut self, ending: &Ending) {
        let Some(broken) = self.pending.take() else { return };
        let head_fits = ending.head.as_ref().is_some_and(|(_, mac)| *mac == self.chain.0);
        let fault = if head_fits {
            LinkFault::LinkOnly
        } else if self.key_proven {
            LinkFault::Content
        } else {
            LinkFault::Key
        };
        self.decide(broken.seq, fault);
    }

    fn decide(&mut self, seq: u64, fault: LinkFault) {
        let why = match fault {
            LinkFault::Content => "its link was not made from its content: it was replaced, or everything from here on was written, by somebody without the key".to_owned(),
            LinkFault::LinkOnly => "its stored link was changed; the content around it verifies".to_owned(),
            LinkFault::Key => format!("no link verifies with key {}: this is not the key that sealed the log, or the log was written anew with another", self.key.id()),
        };
        self.links = Some((Finding { seq, why }, fault));
    }

    fn verdict(&self, ending: &Ending) -> Verdict {
        let tampered = |Finding { seq, why }: Finding| Verdict::Tampered {
            first_bad_seq: seq,
            why,
        };
        match (self.content.clone(), self.links.clone()) {
            (Some(content), Some((link, fault))) if fault != LinkFault::Key && link.seq < content.seq => {
                tampered(link)
            }
            (Some(content), _) => tampered(content),
            // Without the head row the log's name is not known, so that no link could be checked.
            (None, _) if ending.head.is_none() => self.head_verdict(ending),
            (None, Some((link, LinkFault::Content))) => tampered(link),
            (None, Some((link, LinkFault::LinkOnly | LinkFault::Key))) => Verdict::Chain {
                first_bad_seq: link.seq,
                why: link.why,
            },
            (None, None) => self.head_verdict(ending),
        }
    }

    /// Every entry verifies; does the store agree about where the log ends?
    fn head_verdict(&self, ending: &Ending) -> Verdict {
        let last = self.next.saturating_sub(1);
        let tampered = |first_bad_seq, why: &str| Verdict::Tampered {
            first_bad_seq,
            why: why.to_owned(),
        };
        match &ending.head {
            None => tampered(self.next, "the head row is missing or unreadable"),
            Some((seq, _)) if *seq > last => Verdict::Truncated {
                first_bad_seq: self.next,
                head_seq: *seq,
            },
            Some((seq, _)) if *seq < last => {
                tampered(seq.saturating_add(1), "the head row does not know of it")
            }
            Some((_, mac)) if *mac != self.chain.0 => {
                let why = match self.entries {
                    0 => "the log is empty and was begun with another key",
                    _ => "the head row's link was changed",
                };
                Verdict::Chain {
                    first_bad_seq: last,
                    why: why.to_owned(),
                }
            }
            Some(_) => match &ending.orphan {
                Ok(None) => Verdict::Valid,
                Ok(Some(seq)) => tampered(*seq, "something points to this entry, and it is not there"),
                Err(why) => tampered(self.next, why),
            },
        }
    }
}
