//! The words by which [`super::told`] knows where a verb stands. Data only.

/// Words looked at around a verb: no clause of a request is longer.
pub(super) const REACH: usize = 24;

/// What stands before a noun only.
pub(super) const ARTICLES: &[&str] = &[
    "the", "a", "an", "my", "our", "your", "his", "her", "their", "its", "no", "whose",
];
/// What stands before a noun, or for one.
pub(super) const QUANTITIES: &[&str] = &[
    "all", "any", "some", "those", "these", "each", "both", "many", "most", "few", "several", "other", "more",
];
#[rustfmt::skip]
/// What leads to a noun.
pub(super) const PREPOSITIONS: &[&str] = &[
    "of", "to", "from", "in", "on", "at", "by", "with", "without", "for", "into", "onto", "off", "out", "via", "per",
    "as", "across", "inside", "within", "through", "around", "about", "between", "like",
];
/// What belongs to a verb: "took down".
pub(super) const PARTICLES: &[&str] = &[
    "up", "down", "away", "out", "off", "back", "over", "through", "around", "aside",
];
/// Words behind a verb that are not what was changed.
#[rustfmt::skip]
pub(super) const AFTER: &[&str] = &[
    "up", "down", "away", "back", "over", "under", "aside", "please", "pls", "plz", "now", "asap", "today", "again",
    "immediately", "too", "then", "instead", "and", "or", "because", "so", "right", "ok", "okay", "thanks", "twice",
    "pronto", "quickly", "completely", "entirely", "altogether", "together", "gracefully", "cleanly", "somehow",
    "packing", "way", "first", "since", "than", "for", "soon",
];
/// What is a subject wherever it stands.
pub(super) const SUBJECTS: &[&str] = &[
    "i",
    "we",
    "you",
    "he",
    "she",
    "they",
    "who",
    "someone",
    "somebody",
    "anyone",
    "anybody",
    "everyone",
    "everybody",
    "nobody",
    "that",
    "which",
    "it",
];
/// What is an object wherever it stands.
pub(super) const OBJECTS: &[&str] = &["me", "us", "him", "them", "her", "it"];
/// What may stand between any two words.
pub(super) const ADVERBS: &[&str] = &[
    "just", "now", "then", "also", "really", "all", "please", "kindly", "simply", "ever", "finally", "even",
    "quite", "rather", "somehow", "once", "still", "never", "both",
];
/// What orders: each of these, and a verb in its plain form behind it.
pub(super) const MODALS: &[&str] = &["should", "must", "shall"];
/// What makes an order of "to be".
#[rustfmt::skip]
pub(super) const WISHES: &[&str] = &[
    "want", "wants", "need", "needs", "like", "love", "prefer", "prefers", "require", "requires", "expect", "has",
    "have", "ought", "arrange", "is", "are", "supposed", "meant", "due", "deserves",
];
/// What only seems so.
pub(super) const SEEMING: &[&str] = &[
    "seem", "seems", "appear", "appears", "happen", "happens", "going", "about", "had", "claims", "claim",
    "known", "said", "likely",
];
/// What one wants to see done.
pub(super) const CAUSES: &[&str] = &[
    "want", "wants", "need", "needs", "prefer", "prefers", "require", "requires",
];
/// What one does to have something done, said as an order.
pub(super) const DOINGS: &[&str] = &["have", "get", "make", "keep", "see"];
/// What asks for something politely.
pub(super) const POLITE: &[&str] = &["can", "could", "would", "will"];
/// Where a clause begins anew.
#[rustfmt::skip]
pub(super) const CLAUSES: &[&str] = &[
    ".", ";", "!", "?", ":", "\n", "—", "(", ")", "because", "since", "so", "but", "while", "where", "though",
    "although", "whereas",
];
/// What may open a clause without saying anything.
#[rustfmt::skip]
pub(super) const OPENERS: &[&str] = &[
    "hi", "hey", "hello", "kubechat", "please", "pls", "plz", "ok", "okay", "well", "and", "also", ",", "um", "uh",
    "sorry", "oh", "hmm", "then", "just", "now", "kindly", "go", "ahead", "can", "could", "would", "will", "you",
    "u", "we", "somebody", "someone", "let's", "lets", "let", "us", "me", "to", "should", "must", "help", "better",
];
/// What says when, or yes, before an order.
#[rustfmt::skip]
pub(super) const LEADS: &[&str] = &[
    "first", "firstly", "second", "secondly", "next", "afterwards", "afterward", "later", "finally", "lastly", "yes",
    "yeah", "yep", "yup", "sure", "alright", "right", "great", "instead", "again", "today", "tonight",
];
/// Verbs that draw attention to what is told behind them.
#[rustfmt::skip]
pub(super) const ATTENTION: &[&str] = &[
    "note", "notice", "remember", "recall", "know", "mind", "consider", "believe", "see", "say", "tell", "think",
    "guess", "hear", "fyi", "watch", "mention", "find",
];
/// Who reports what others want or did.
#[rustfmt::skip]
pub(super) const REPORTS: &[&str] = &[
    "says", "tells", "writes", "reads", "claims", "reports", "mentions", "suggests", "recommends", "asks", "orders",
    "thinks", "believes", "instructs", "insists", "states", "reckons", "according to", "as per", "apparently",
    "allegedly", "reportedly", "supposedly", "presumably", "rumour", "rumor", "fyi", "for your information",
    "heads up", "note that", "please note", "take note", "changelog", "release notes", "postmortem", "had to",
    "have you", "have they", "have we", "was to", "were to", "plans to", "intends to", "tries to",
];
/// What belongs to which object, and says nothing of a change.
pub(super) const RELATIONS: &[&str] = &["related", "associated", "connected", "attached", "belonging"];
