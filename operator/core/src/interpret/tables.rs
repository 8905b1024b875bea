//! Phrases of the grammar, as lists: what people say before, between and around the words that matter.
//!
//! Data only. Who reads a list says what it means; longer phrases win over shorter ones.

/// Replica nouns.
#[rustfmt::skip]
pub(super) const REPLICA_NOUNS: &[&str] = &[
    "replicas", "replica", "instances", "instance", "copies", "copy", "pods", "pod",
];

/// What stands before a total of replicas.
#[rustfmt::skip]
pub(super) const AMOUNT_TO: &[&str] = &[
    "to", "at", "with", "=", ":", "to be", "to have", "to run", "to only", "to just", "to exactly",
    "to a total of", "have", "has", "run", "running", "should be", "must be", "needs to be", "has to be",
    "to about",
];

/// What stands between a label key and its value.
#[rustfmt::skip]
pub(super) const VALUE_IS: &[&str] = &[
    "to", "=", ":", "as", "is", "with value", "with the value", "to value", "to the value", "equal to",
    "with a value of", "value",
];

/// To.
#[rustfmt::skip]
pub(super) const TO: &[&str] = &[
    "to", "at", "with", "=", ":", "to be", "to have", "to run", "to use", "have", "has", "run", "use",
    "running", "should be", "must be", "needs to be", "has to be", "at exactly", "to a total of", "onto",
    "on",
];

/// The last so many of something.
#[rustfmt::skip]
pub(super) const BACK: &[&str] = &[
    "last", "past", "previous", "latest", "most recent", "final", "recent",
];

/// Lines of a log.
#[rustfmt::skip]
pub(super) const LINES: &[&str] = &[
    "lines", "line", "log lines", "lines of", "log lines of", "rows", "log entries", "entries",
];

/// The run of a container before this one.
#[rustfmt::skip]
pub(super) const PREVIOUS_RUN: &[&str] = &[
    "from the previous run", "of the previous run", "from the previous container",
    "of the previous container", "previous container", "from before the restart", "from the last run",
    "from the previous instance", "from before it crashed", "of the last run", "before the restart",
    "from the last crash", "before it crashed", "from the crashed container",
];

/// What stands before a state.
#[rustfmt::skip]
pub(super) const STATE_LED: &[&str] = &[
    "with status", "with state", "with the status", "whose status is", "in state", "in phase", "in a",
    "in the", "in",
];

/// What stands before a quantity.
#[rustfmt::skip]
pub(super) const AT_MOST: &[&str] = &[
    "of", "to at most", "to a maximum of", "a maximum of", "of at most", "to no more than", "at most",
];

/// Words for what a rollback goes to.
#[rustfmt::skip]
pub(super) const REVISIONS: &[&str] = &[
    "version", "revision", "release", "rollout", "deployment", "image", "update", "state", "one", "rev",
    "deploy", "change", "upgrade",
];

/// Words for the one before.
#[rustfmt::skip]
pub(super) const BEFORE: &[&str] = &[
    "previous", "last", "prior", "earlier", "old", "former", "most recent", "latest", "one",
];

/// What may stand before a noun that a clause is about.
#[rustfmt::skip]
pub(super) const BEFORE_NOUN: &[&str] = &[
    "of", "for", "on", "with", "the", "a", "an", "all", "any", "full", "complete", "entire", "recent",
    "latest", "current", "last", "me", "more", "some", "number", "count", "about", "what", "rolling",
    "ongoing", "pod", "container", "as", "new", "previous", "most", "us", "in",
];

/// Words of a question about a rollout.
#[rustfmt::skip]
pub(super) const ROLLS_OUT: &[&str] = &[
    "rolled out", "rolling out", "finished rolling out", "finish rolling out", "deploying",
    "finished deploying", "done rolling out", "done deploying", "fully rolled out", "roll out",
    "roll out successfully", "rolled out successfully", "roll out ok", "deploy successfully",
];

/// The rows that started again most often come first.
#[rustfmt::skip]
pub(super) const MOST_RESTARTS: &[&str] = &[
    "restarted most", "restarted the most", "restarted most often", "restarted the most often", "restart most",
    "restart the most", "restart most often", "have restarted most", "have restarted the most",
    "has restarted most", "has restarted the most", "with the most restarts", "with most restarts",
    "have the most restarts", "has the most restarts", "had the most restarts", "have most restarts",
    "by restarts", "sorted by restarts", "ordered by restarts", "by number of restarts",
    "sorted by number of restarts", "by restart count", "sorted by restart count", "crashed most",
    "crashed the most", "crashed most often", "crash most", "crash the most", "crash most often",
];

/// Words of questions that carry nothing by themselves.
#[rustfmt::skip]
pub(super) const QUESTION_WORDS: &[&str] = &[
    "are", "is", "there", "do", "does", "did", "has", "have", "had", "we", "i", "you", "that", "which",
    "what", "currently", "exist", "exists", "existing", "got", "can", "see", "me", "us", "live", "in total",
    "total", "altogether", "deployed", "defined", "available", "configured", "look like", "a list of",
    "the list of", "list of", "an overview of", "overview of", "together with", "does it have", "do i",
    "know", "the", "all of", "right now", "at present", "still", "yet", "already", "so far", "any", "of",
    "it has", "going on with", "going on", "happening", "been", "was", "were", "use", "uses", "using", "run",
    "runs", "belong", "belongs", "set", "to", "at", "around", "now", "at all", "the number of", "number of",
    "with", "how", "lately", "recently", "said", "say", "saying", "write", "writing", "wrote",
];

/// States that a question about one object asks for.
#[rustfmt::skip]
pub(super) const QUESTION_STATES: &[&str] = &[
    "going", "coming along", "doing", "ok", "okay", "fine", "alive", "up", "down", "well", "done", "complete", "progressing", "out",
    "good", "all right", "online", "finished", "finish", "through", "over", "successful", "succeed", "stuck",
    "look", "looking",
];

/// Kinds that have neither replicas nor containers. Custom kinds may have, and are judged against the cluster.
#[rustfmt::skip]
pub(super) const NO_WORKLOADS: &[&str] = &[
    "Namespace", "Node", "Service", "Ingress", "ConfigMap", "Secret", "ServiceAccount", "PersistentVolume",
    "PersistentVolumeClaim", "StorageClass", "NetworkPolicy", "Role", "RoleBinding", "ClusterRole",
    "ClusterRoleBinding", "Endpoints", "EndpointSlice", "ResourceQuota", "LimitRange",
    "HorizontalPodAutoscaler", "PodDisruptionBudget", "CustomResourceDefinition",
];

/// Polite.
#[rustfmt::skip]
pub(super) const POLITE: &[&str] = &[
    "can you", "could you", "would you", "will you", "can u", "could u", "may i ask you to",
    "would you kindly", "would you be so kind as to", "would you be so kind to", "be so kind and",
    "be so kind as to", "i want to", "i want you to", "i need to", "i need you to", "i would like to",
    "i'd like to", "i would like you to", "i'd like you to", "we need to", "we want to", "we should",
    "we have to", "we must", "i have to", "let's", "lets", "let us", "go ahead and", "first", "next",
    "finally", "afterwards", "after that", "help me", "help me to", "please help me", "try to",
    "make sure to", "be sure to", "it would be great if you could", "it would be nice if you could",
    "if you could", "you should", "you need to", "you must", "would it be possible to", "is it possible to",
    "do me a favor and", "do me a favour and", "hey", "hi", "hello", "so", "well", "wait",
    "i think we should", "i think you should", "i think we need to", "i guess we should",
    "i suppose we should", "and", "also", "dear", "yo", "alright", "all right", "good morning",
    "good evening", "sure", "yes", "kube chat", "i'd love to", "i would love to", "we'd like to",
    "we would like to", "quick question", "question", "excuse me", "you can", "you could", "time to",
    "it is time to", "want to", "need to", "gonna", "i wanna", "wanna", "let me", "i would like", "hey there",
    "hi there", "hello there", "second", "lastly", "could i", "can i please", "may i please", "i'm going to",
    "i will", "i'll", "and then", "once again", "just", "for a start", "@kubechat", "would you please",
    "i'd appreciate it if you could", "any chance you could", "any chance you can", "please to",
    "would you be able to", "are you able to", "will you be able to",
    "i wish to", "we wish to", "i would want to", "we would want to", "i'd want to", "can we please",
    "could we please", "i'd need you to", "i would need you to",
];

/// Mind.
#[rustfmt::skip]
pub(super) const MIND: &[&str] = &[
    "would you mind", "do you mind", "how about", "what about", "mind", "try",
];

/// What if.
#[rustfmt::skip]
pub(super) const WHAT_IF: &[&str] = &[
    "what happens if i", "what happens if we", "what happens if you", "what happens when i",
    "what happens when we", "what would happen if i", "what would happen if we", "what would happen if you",
    "what would happen if i were to", "what if i were to", "what happens if i were to", "what if i",
    "what if we", "what if you", "should i", "should we", "is it safe to", "is it ok to", "is it okay to",
    "is it fine to", "is it a good idea to", "would it be safe to", "would it be ok to",
    "would it be okay to", "would it be a good idea to", "can i safely", "can we safely", "could i safely",
    "how risky is it to", "how risky would it be to",
    "how dangerous would it be to", "how safe is it to", "how safe would it be to", "how bad is it if i",
    "how dangerous is it to", "how bad is it to", "how bad would it be to",
    "what breaks if i", "what breaks if we", "what will break if i", "what would break if i",
    "what would break if we", "what will happen if i", "what will happen if we", "do you think i should",
    "do you think we should", "shall i", "shall we", "what happens to the cluster if i",
    "what is affected if i", "what would be affected if i", "what is going to happen if i", "is it risky to",
    "is it dangerous to", "would it hurt to", "will anything break if i", "does anything break if i",
    "would anything break if i", "what could go wrong if i", "what can go wrong if i", "is it a bad idea to",
    "what is affected if we", "what do i lose if i",
];

/// What if gerund.
#[rustfmt::skip]
pub(super) const WHAT_IF_GERUND: &[&str] = &[
    "what is the impact of", "what is the effect of", "what is the risk of", "what are the risks of",
    "what are the consequences of", "what would be the impact of", "what would be the effect of", "impact of",
    "how risky is", "how dangerous is", "how safe is", "is", "what about", "blast radius of",
    "what is the blast radius of", "what would the impact be of", "what does it mean to",
    "what is the danger of", "simulate", "pretend", "risk of", "would", "will", "does",
];

/// What if passive.
#[rustfmt::skip]
pub(super) const WHAT_IF_PASSIVE: &[&str] = &[
    "what happens if", "what happens when", "what would happen if", "what will happen if", "what if",
    "what breaks if", "what would break if", "what is affected if", "what will break if",
];

/// How to.
#[rustfmt::skip]
pub(super) const HOW_TO: &[&str] = &[
    "how do i", "how do we", "how do you", "how can i", "how can we", "how to", "how would i",
    "how would one", "how should i", "how does one", "what is the command to", "what is the command for",
    "show me how to", "tell me how to", "explain how to", "how could i", "what is the way to",
    "what is the best way to", "teach me how to", "teach me to",
];

/// Words before the verb of a later clause.
#[rustfmt::skip]
pub(super) const CLAUSE_LEAD: &[&str] = &[
    "please", "then", "also", "now", "just", "finally", "afterwards", "next", "kindly", "after that",
    "right after that",
];

/// Politeness before the verb of a later clause.
#[rustfmt::skip]
pub(super) const CLAUSE_POLITE: &[&str] = &[
    "can you", "could you", "would you", "please", "let's", "i want to", "i need to", "you can",
    "i want you to",
];

/// Openings of a question as a later clause.
#[rustfmt::skip]
pub(super) const CLAUSE_QUESTIONS: &[&str] = &[
    "how many", "what is", "what are", "which", "what happens", "is there", "are there", "tell me",
];

/// Corrections.
#[rustfmt::skip]
pub(super) const CORRECTIONS: &[&str] = &[
    "no", "no wait", "wait", "wait no", "i mean", "i meant", "no i mean", "no i meant", "actually make it",
    "actually make that", "make that", "make it", "sorry", "or rather", "rather", "scratch that",
    "correction", "oops", "no sorry", "sorry i mean", "sorry i meant", "oh no", "oh wait", "hmm no",
    "well no", "nope", "no make it", "no make that", "wait make it", "wait make that", "no actually",
    "actually no", "no wait make it", "no wait make that", "or better", "better make it", "better",
    "no better", "on second thought", "on second thought make it", "strike that", "let me rephrase", "err",
    "um no", "uh no", "change that to", "no let's say", "let's say", "let's make it", "let's make that",
];

/// The request is taken back.
#[rustfmt::skip]
pub(super) const TAKEN_BACK: &[&str] = &[
    "don't", "do not", "dont", "cancel that", "forget it", "never mind", "nevermind", "cancel", "stop", "leave",
    "leave it", "leave that", "leave them", "keep it", "keep that", "keep them", "skip it", "skip that", "skip",
    "drop it", "drop that", "let it be", "rather not", "better not", "not", "hold on", "hold off", "abort",
    "forget that", "forget about it", "nothing", "on second thought no",
];

/// Words that mean a shell, a file or a tunnel into a container.
#[rustfmt::skip]
pub(super) const EXEC: &[&str] = &[
    "exec", "execute", "ssh", "shell", "attach", "port-forward", "port forward", "portforward", "cp", "bash",
    "sh", "sudo", "curl", "open a shell", "run a command", "run the command", "run command", "get a shell",
    "start a shell", "give me a shell", "run bash", "run sh", "kubectl exec", "rsh", "log into", "log in to",
    "login to", "execute a command", "run a shell", "tunnel", "wget", "get me a shell", "open a terminal",
];

/// Negations.
#[rustfmt::skip]
pub(super) const NEGATIONS: &[&str] = &[
    "don't", "dont", "never", "not", "no", "without", "except", "excluding", "avoid", "shouldn't", "shouldnt",
    "can't", "cant", "cannot", "won't", "wont", "mustn't", "unless", "neither", "nor", "none", "besides",
    "stop", "refrain", "leave", "but",
];

/// Conditions.
#[rustfmt::skip]
pub(super) const CONDITIONS: &[&str] = &[
    "if", "unless", "when", "whenever", "once", "until", "till", "otherwise", "while", "after", "before",
    "provided", "case", "assuming",
];

/// Schedules.
#[rustfmt::skip]
pub(super) const SCHEDULES: &[&str] = &[
    "tomorrow", "tonight", "later", "daily", "nightly", "weekly", "hourly", "midnight", "noon", "monday",
    "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "am", "pm", "o'clock", "morning",
    "evening", "night", "every", "minutes", "hours", "hour", "week", "weekend",
];

/// Topics that are no request wherever they come up.
#[rustfmt::skip]
pub(super) const TOPICS: &[&str] = &[
    "weather", "joke", "poem", "sing", "song", "lol", "haha", "congratulations", "goodbye", "bye", "ciao",
    "birthday", "football", "lunch",
];

/// Greetings and praise, and the words around them: a prompt of nothing else asks for nothing.
#[rustfmt::skip]
pub(super) const PLEASANTRIES: &[&str] = &[
    "hello", "hi", "hey", "yo", "greetings", "good", "morning", "evening", "afternoon", "night", "day",
    "thanks", "thank", "thx", "cheers", "ok", "okay", "yes", "no", "cool", "nice", "great", "awesome",
    "perfect", "excellent", "wonderful", "amazing", "well", "done", "job", "work", "that", "this", "is",
    "was", "it", "worked", "works", "so", "very", "really", "you", "are", "the", "best", "much", "all",
    "there", "everyone", "kubechat", "bot", "friend", "again", "team", "a", "lot", "i", "love", "sorry",
    "welcome", "please", "see", "later", "folks", "sure", "fine", "alright", "got", "wow", "to", "meet",
    "for", "now", "today", "im", "i'm", "just", "testing", "test", "how",
];

/// About me.
#[rustfmt::skip]
pub(super) const ABOUT_ME: &[&str] = &[
    "who are you", "what are you", "what can you do", "what do you do", "how are you", "what is your name",
    "are you there", "are you a bot", "are you human", "what can i ask", "what can i say",
    "how does this work", "how do you work", "what is kubechat", "what else can you do", "help",
    "how do i use this", "how do i use you", "are you an ai", "what are you able to do",
];

/// Words people put before a line they paste.
#[rustfmt::skip]
pub(super) const LEAD: &[&str] = &[
    "run", "execute", "please", "do", "can", "could", "you", "would", "hey", "kubechat", "kubechat,", "the",
    "this", "following", "command", "command:", "this:", "following:", "for", "me", "me:", "just", "run:",
    "please,", "then", "now", "and", "try", "use", "$", ">", "#", "sudo-less", "hi", "hi,", "hello", "hello,",
];

/// Subcommands.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[&str] = &[
    "get", "describe", "logs", "scale", "rollout", "set", "delete", "label", "annotate", "cordon", "uncordon",
    "create", "events", "top", "apply", "exec", "edit", "patch", "drain", "taint", "run", "expose",
    "autoscale", "cp", "port-forward", "attach", "explain", "auth", "diff", "replace", "wait", "config",
    "debug", "proxy", "kustomize", "version", "cluster-info", "api-resources",
];

/// Want.
#[rustfmt::skip]
pub(super) const WANT: &[&str] = &[
    "i want", "i need", "we want", "we need", "i'd like", "i would like", "we'd like", "want", "need",
    "i'd like to have", "i want to have", "i would like to have", "we would like",
];

/// Can i get.
#[rustfmt::skip]
pub(super) const CAN_I_GET: &[&str] = &[
    "can i get", "could i get", "can i have", "could i have", "may i have", "can we get", "can we have",
    "could we get", "could we have",
];

/// What makes a verb of a noun: "do a restart".
#[rustfmt::skip]
pub(super) const NOMINAL: &[&str] = &[
    "do a", "do the", "do", "make", "make the", "perform a", "perform", "trigger a", "trigger the", "start a", "initiate a",
    "kick off a", "issue a", "execute a", "make a", "force a", "begin a", "schedule a", "run a",
];

/// What may stand before the thing that is undone.
#[rustfmt::skip]
pub(super) const UNDO_HEADS: &[&str] = &[
    "the", "the last", "the latest", "the previous", "last", "the most recent", "latest", "to the previous",
    "to the last",
];

/// Words for what is undone.
#[rustfmt::skip]
pub(super) const UNDONE: &[&str] = &[
    "rollout", "deploy", "release", "update", "change", "upgrade", "revision", "version", "image change",
    "image update", "deployment",
];

/// What is no longer scheduled on a node.
#[rustfmt::skip]
pub(super) const SCHEDULED: &[&str] = &[
    "pods", "new pods", "workloads", "anything", "new workloads", "anything new", "of pods", "of new pods",
    "more pods",
];

/// What follows "show" and "tell".
#[rustfmt::skip]
pub(super) const TOLD: &[&str] = &[
    "me if", "me whether", "if", "whether", "me what", "me which", "me",
];

/// Joins.
#[rustfmt::skip]
pub(super) const JOINS: &[&str] = &[
    "and", "&", "+", "plus", "as well as", "and also", "along with", "together with", "and the",
];

/// A name follows.
#[rustfmt::skip]
pub(super) const NAMED: &[&str] = &[
    "called", "named", "with the name", "with name", "by the name of", "with the name of",
];

/// An owner follows.
#[rustfmt::skip]
pub(super) const OWNED_BY: &[&str] = &[
    "of", "for", "behind", "belonging to", "that belong to", "which belong to", "owned by", "managed by",
];

/// All namespaces.
#[rustfmt::skip]
pub(super) const ALL_NAMESPACES: &[&str] = &[
    "across namespaces", "across the cluster", "across the whole cluster", "across the entire cluster",
    "in the whole cluster", "in the entire cluster", "on the whole cluster", "in the cluster",
    "in this cluster", "in my cluster", "in our cluster", "on the cluster", "on this cluster",
    "of the cluster", "of the whole cluster", "cluster-wide", "clusterwide", "cluster wide", "everywhere",
    "throughout the cluster", "all namespaces", "across all of the cluster", "across my cluster",
    "regardless of namespace", "from the whole cluster", "from the cluster",
];

/// Here.
#[rustfmt::skip]
pub(super) const HERE: &[&str] = &[
    "here", "in this namespace", "in the current namespace", "in my namespace", "in our namespace", "in here",
    "from here", "in the same namespace", "from this namespace", "of this namespace", "in current namespace",
];

/// What stands before "every namespace".
#[rustfmt::skip]
pub(super) const EVERY_LED: &[&str] = &[
    "in", "from", "for", "of", "across", "over", "through", "throughout", "within",
];

/// A label selector follows.
#[rustfmt::skip]
pub(super) const SELECTED_BY: &[&str] = &[
    "labelled", "labeled", "labelled with", "labeled with", "labelled as", "labeled as", "tagged",
    "tagged with", "that are labelled", "that are labeled", "where", "where label", "where the label",
    "where labels", "matching", "matching label", "matching labels", "matching the label",
    "matching selector", "matching the selector", "having", "having label", "having the label",
    "that have label", "that have the label", "which have the label", "which have label", "whose label",
    "whose label is", "whose", "that match", "with selector", "with the selector", "by label", "selected by",
    "carrying the label", "carrying label", "that carry the label", "that are labelled with",
    "that are labeled with", "with the labels", "with the label", "with label", "with labels", "that have",
    "which are labelled", "whose labels match", "with a label of", "with a label", "selector", "with",
];

/// What stands before a label that is not to be there.
#[rustfmt::skip]
pub(super) const LACKING: &[&str] = &[
    "without label", "without the label", "without a label", "lacking label", "lacking the label",
    "that lack the label", "which lack the label", "that have no label", "missing the label", "missing label",
    "with no label",
];

/// Questions about events.
#[rustfmt::skip]
pub(super) const HAPPENING: &[&str] = &[
    "what is happening", "what is going on", "what happened", "what has happened", "what is up",
    "what has been happening", "is anything happening", "is anything going on", "anything happening",
    "anything going on", "what has been going on", "what was happening", "what went on", "what is new",
    "did anything happen", "has anything happened",
];

/// Questions about a rollout.
#[rustfmt::skip]
pub(super) const HOW_FAR: &[&str] = &[
    "how far is", "how far along is", "how far has", "how is the rollout of", "is the rollout of",
    "how is the rollout",
];

/// Openings of a question for rows.
#[rustfmt::skip]
pub(super) const WHICH: &[&str] = &[
    "what is", "what are", "anything", "is anything", "is something", "something", "everything that is",
    "what", "which",
];

/// Openings of a question about a state.
#[rustfmt::skip]
pub(super) const ASKS: &[&str] = &[
    "is", "are", "was", "were", "does", "did", "has", "isn't", "aren't", "do we", "do i", "do you",
    "are there", "is there", "have we", "how is", "how are", "any", "how does", "how do", "are there any",
    "is there any", "how did",
];
