//! Verbs in the past, as people write them: regular ones by their ending, the others by name.

/// What a word says of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// It is one.
    Sure,
    /// It is the plain form, too: "set", "cut".
    Either,
}

/// Pasts and participles that do not end in -ed.
#[rustfmt::skip]
const IRREGULAR: &[&str] = &[
    "took", "taken", "went", "gone", "made", "brought", "threw", "thrown", "blew", "blown", "tore", "torn", "broke",
    "broken", "fell", "fallen", "ran", "came", "gave", "given", "got", "gotten", "sent", "spun", "wound", "drew", "drawn",
    "drove", "driven", "froze", "frozen", "chose", "chosen", "wrote", "written", "rewrote", "rewritten", "overwrote",
    "overwritten", "overrode", "overridden", "undid", "undone", "redid", "redone", "did", "done", "grew", "grown", "shrank",
    "shrunk", "swung", "sank", "sunk", "swept", "stuck", "struck", "lost", "left", "told", "said", "saw", "seen", "heard",
    "found", "held", "kept", "knew", "known", "thought", "felt", "built", "rebuilt", "bought", "caught", "fought", "taught",
    "dug", "hung", "hid", "hidden", "bit", "bitten", "shot", "slew", "slain", "spoke", "spoken", "stole", "stolen", "swore",
    "sworn", "woke", "woken", "awoke", "wore", "worn", "rose", "risen", "bled", "led", "fed", "fled", "met", "paid", "laid",
    "lit", "slid", "stood", "understood", "withdrew", "withdrawn", "underwent", "forgot", "forgotten", "became", "began",
    "begun", "dealt", "meant", "spent", "bent", "burnt", "learnt", "flew", "flown", "shown", "proven", "died", "used", "tied",
    "freed", "had", "sold", "sped",
];

/// Pasts that are the plain form, too.
const SAME: &[&str] = &[
    "set",
    "reset",
    "put",
    "cut",
    "shut",
    "hit",
    "split",
    "quit",
    "spread",
    "burst",
    "shed",
    "cast",
    "rid",
    "beat",
    "bet",
    "undercut",
    "broadcast",
    "thrust",
    "upset",
    "hurt",
    "cost",
];

/// Words in -ed that are no verbs in the past.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "hundred", "shred", "embed", "infrared", "moped", "naked", "sacred", "wicked", "rugged", "jagged", "kindred", "hatred",
];

/// What tells how a thing is rather than what was done to it: nobody fails or crashes a pod on request.
#[rustfmt::skip]
const CONDITIONS: &[&str] = &[
    "stuck", "broken", "hung", "frozen", "failed", "crashed", "completed", "finished", "deprecated", "expired", "orphaned",
    "stalled", "outdated", "unused", "unneeded", "unwanted", "overloaded", "overcrowded", "overprovisioned", "overworked",
    "overwhelmed", "underpowered", "undersized", "underprovisioned", "starved", "stressed", "strained", "crowded",
    "abandoned", "messed", "wedged", "hosed", "borked", "jammed", "bloated", "lost", "done", "crazed", "tired",
];

/// What a word in small letters says of the past; `None` where it says nothing.
pub(super) fn of(key: &str) -> Option<Past> {
    let plain = key.strip_prefix("re-").unwrap_or(key);
    if SAME.contains(&plain) {
        return Some(Past::Either);
    }
    let letters = plain.bytes().all(|b| b.is_ascii_alphabetic());
    let regular = plain.len() >= 5 && letters && plain.ends_with("ed") && !plain.ends_with("eed");
    (IRREGULAR.contains(&plain) || regular && !OTHERS.contains(&plain)).then_some(Past::Sure)
}

/// Whether it is a condition of a thing.
pub(super) fn is_condition(key: &str) -> bool {
    CONDITIONS.contains(&key)
}

/// Whether it is a condition, or what Kubernetes itself does to a thing so often that people name the thing by it.
pub(super) fn is_state(key: &str) -> bool {
    is_condition(key)
        || matches!(
            key,
            "evicted" | "terminated" | "cordoned" | "tainted" | "suspended" | "paused" | "drained"
        )
}
