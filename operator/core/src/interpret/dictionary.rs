//! Single words of the grammar, as lists. Data only; [`super::vocab`] looks them up.

/// Verbs a typing error may be read as: whole words of this list only, so that slang never comes out of a typo.
#[rustfmt::skip]
pub(super) const CORRECTABLE: &[&str] = &[
    "scale", "restart", "delete", "remove", "label", "annotate", "cordon", "uncordon", "rollback", "revert",
    "describe", "list", "show", "display", "count", "update", "upgrade", "bounce", "double", "halve",
    "create", "increase", "decrease", "reduce", "change", "inspect", "enumerate",
];

/// English words one edit away from a correctable verb or kind. They mean themselves.
#[rustfmt::skip]
pub(super) const NEIGHBOURS: &[&str] = &[
    "prod", "pond", "plod", "port", "ports", "post", "posts", "pool", "pools", "least", "leash", "cease",
    "tease", "hole", "pole", "sole", "mole", "vole", "robe", "mobs", "cron", "crop", "crown", "employ",
    "server", "secrete", "serve", "rolls", "roll", "nodded", "noted", "coded", "pots", "poodle", "jot",
    "jots", "labels", "last", "lost", "lint", "lift", "fist", "mist", "gist", "shot", "slow", "shop", "snow",
    "shoe", "stale", "sale", "scape", "scare", "scalp", "scaly", "remote", "relete", "libel", "lapel",
    "court", "county", "mount", "crate", "chance", "charge", "have", "valve", "salve", "pounce", "trouble",
    "revers", "revere", "reverb", "device", "modes", "codes", "rods", "gods", "mods", "nods", "pads", "pops",
    "rode", "mode", "code", "nose", "bode", "jobs", "jabs", "role", "rule", "rules", "roles", "notes",
    "dates", "rest", "seduce", "induce", "produce", "update", "created", "secret", "event", "even", "evens",
    "crow", "corn", "lease", "please", "leave", "quote", "delate",
];

/// Politeness and other words that carry nothing, wherever they stand.
#[rustfmt::skip]
pub(super) const FILLERS: &[&str] = &[
    "for me", "for us", "if you would be so kind", "right now", "right away", "at once",
    "as soon as possible", "thank you", "thanks a lot", "thanks in advance", "many thanks", "would you",
    "will you", "could you", "can you", "ok", "okay", "please", "pls", "plz", "plss", "kindly", "now",
    "immediately", "asap", "thanks", "thx", "ty", "cheers", "just", "quickly", "currently", "kubechat",
    "folks", "team", "simply", "actually", "then", "too", "as well", "real quick", "at the moment",
    "straight away", "again", "when you get a chance", "when you have time", "when you have a moment",
    "when you can", "whenever you can", "if you can", "if possible", "if you don't mind", "if you please",
    "if that is ok", "if it is not too much trouble", "if you could", "a good idea", "a bad idea", "risky",
    "dangerous", "harmful", "break anything", "break something", "cause problems", "cause downtime",
    "cause an outage", "be safe", "exactly", "entirely", "completely", "also", "over there",
];

/// Adjectives that pick objects in ways the grammar does not model. Before a noun they are never a name.
#[rustfmt::skip]
pub(super) const VAGUE: &[&str] = &[
    "old", "older", "oldest", "new", "newer", "newest", "latest", "last", "first", "second", "third", "other",
    "others", "stuck", "unused", "empty", "bad", "faulty", "slow", "slowest", "big", "biggest", "largest",
    "smallest", "small", "dead", "wrong", "right", "extra", "idle", "orphaned", "random", "next", "previous",
    "main", "same", "most", "some", "few", "several", "many", "half", "rest", "certain", "stale", "dangling",
    "expired", "crashed", "hung", "problematic", "top", "remaining", "production", "whatever", "something",
    "anything", "nothing", "everyone", "stuff", "things", "thing", "one", "ones",
];

/// Words that only join others. Never a kind, never an unquoted name.
#[rustfmt::skip]
pub(super) const FUNCTION: &[&str] = &[
    "a", "an", "the", "this", "that", "these", "those", "it", "its", "them", "they", "their", "he", "she",
    "i", "me", "my", "mine", "we", "us", "our", "ours", "you", "your", "yours", "to", "of", "in", "on", "at",
    "by", "for", "from", "with", "without", "within", "inside", "into", "onto", "out", "off", "up", "down",
    "over", "under", "across", "about", "around", "between", "through", "during", "since", "as", "than",
    "like", "via", "per", "and", "or", "nor", "but", "so", "yet", "if", "unless", "until", "till", "while",
    "when", "whenever", "once", "before", "after", "because", "whether", "though", "although", "otherwise",
    "else", "except", "excluding", "besides", "apart", "not", "no", "never", "don't", "dont", "doesn't",
    "doesnt", "didn't", "won't", "wont", "can't", "cannot", "cant", "shouldn't", "shouldnt", "mustn't",
    "isn't", "isnt", "aren't", "arent", "wasn't", "nobody", "none", "neither", "is", "are", "was", "were",
    "be", "been", "being", "am", "do", "does", "did", "done", "has", "have", "had", "having", "can", "could",
    "will", "would", "shall", "should", "may", "might", "must", "ought", "need", "needs", "want", "wants",
    "i'd", "i'll", "i'm", "i've", "we'd", "we'll", "we're", "you're", "they're", "let's", "lets", "let",
    "what", "which", "who", "whom", "whose", "why", "where", "how", "there", "here", "all", "every", "each",
    "any", "both", "either", "everything", "everywhere", "more", "less", "fewer", "another", "additional",
    "back", "away", "only", "even", "still", "already", "ever", "again", "too", "very", "instead", "rather",
    "maybe", "perhaps", "possibly", "probably", "named", "called", "labelled", "labeled", "tagged",
    "matching", "plus", "yes", "yeah", "nope", "sorry", "wait", "hmm", "oops", "wasnt", "werent", "tomorrow",
    "tonight", "today", "yesterday", "later", "soon", "daily", "nightly", "weekly", "hourly", "avoid",
    "ignore", "skip", "forget", "cancel", "'s", "&", "+", "replicas", "seconds", "minutes", "hours", "days",
    "lines", "line", "percent", "times", "twice", "hello", "hi", "hey", "hm", "um", "uh", "such", "own",
    "unlike", "non", "apps", "app", "application", "applications", "workload", "workloads", "ago", "past",
    "doing", "fine", "alive", "happening", "online", "rolling", "rolled", "complete", "deploying", "working",
    "really", "seriously", "rush", "worries", "belong", "belongs", "warning", "warnings", "break", "hurt",
    "cause", "number", "count", "amount", "finish", "succeed", "schedulable", "hurry", "problem", "problems",
    "issue", "issues", "finishing", "looking", "lately", "recently", "exist", "exists", "recent", "zero",
    "dozen", "gone", "going", "nevermind",
];

/// Nouns that stand for any object: `the web app`, `workload api`.
#[rustfmt::skip]
pub(super) const GENERIC: &[&str] = &[
    "app", "application", "workload", "microservice", "apps", "applications", "workloads",
];
