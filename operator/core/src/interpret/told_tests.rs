//! What tells of a change is no request for one, in whatever words; what requests one is not taken for something told. The
//! tables were written before anything was tried.

use std::sync::LazyLock;

use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};

use super::super::{Context, Interpretation, Lexicon, hedges, interpret, token};
use crate::models::{changes_a_question, is_for_the_rules};

fn read(prompt: &str) -> Interpretation {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::builtin);
    let context = Context {
        lexicon: &LEXICON,
        previous: &[],
    };
    interpret(prompt, &context).interpretation
}

/// Whether it becomes a change, or a model may be asked that may answer with one.
fn may_become_a_change(prompt: &str) -> bool {
    let read = read(prompt);
    let change = Intent {
        action: Action::Delete,
        target: IntentTarget::default(),
        params: IntentParams::default(),
        confidence: 99,
        span: Span::default(),
    };
    let changes = match &read {
        Interpretation::Intents(intents) => intents.iter().any(|intent| !intent.action.is_read()),
        Interpretation::UndoPrevious => true,
        Interpretation::WhatIf(_) | Interpretation::NeedsInput { .. } | Interpretation::Chat { .. } => false,
    };
    changes || !is_for_the_rules(prompt, &read) && !changes_a_question(&read, &[change])
}

fn holds_back(prompt: &str) -> bool {
    hedges::holds_back(&token::tokens(prompt, 0))
}

/// Told, reported, asked about or doubted.
const TOLD: &[&str] = &[
    // Somebody did it.
    "we have deleted web",
    "we've deleted web",
    "I just deleted web",
    "Bob deleted web",
    "the intern deleted web",
    "my colleague zapped web",
    "they all deleted web",
    "ops nuked the shop frontend",
    "someone from ops restarted web",
    "somebody's deleted web",
    "he'd deleted web",
    "you deleted web",
    "the team behind web scaled it to nine",
    "Bob and Alice drained n1",
    // With a word before it that could make a request of another sentence.
    "please note somebody deleted web",
    "please note that web was deleted",
    "I can see Bob restarted web",
    "I can see web deleted",
    "FYI we had to delete web",
    "FYI we had to zap web",
    "like I said, ops deleted web",
    "like I said ops deleted web",
    "let me tell you we deleted web",
    "I want you to know we deleted web",
    "I need to tell you that Bob deleted web",
    "you should know ops deleted web",
    "I would like to report that web got deleted",
    "you must have deleted web",
    "somebody could have deleted web",
    "we should have deleted web",
    "web should have been deleted",
    "can you believe they deleted web",
    "get this: Bob deleted web",
    "we need web back, Bob deleted it",
    "I want web back since the node restarted",
    "make no mistake, web was deleted",
    "have you deleted web",
    "having deleted web, we are fine",
    // Pasts that are no participle, and verbs of two words.
    "Bob took web down",
    "Bob shut down the nodes",
    "the team shut web down",
    "someone threw away web",
    "it went down",
    "web went away",
    "ops blew away the namespace demo",
    "Alice tore down web",
    "he got rid of web",
    "somebody undid the rollout of web",
    "she set web to 3",
    "Bob put web on n1",
    "the operator cut web to two",
    "they brought web down to zero",
    "ops froze web",
    "they spun up six copies of web",
    "we used to zap web",
    // The passive.
    "web got deleted",
    "web was taken down",
    "web was shut down",
    "web has been removed",
    "web had been deleted before lunch",
    "web is deleted",
    "web is being deleted",
    "the pods were evicted",
    "all of them got nuked",
    "web ended up deleted",
    "the pods that were evicted got deleted by Bob",
    "pods get evicted",
    // Reported.
    "Bob says he deleted web",
    "the runbook says delete web",
    "the runbook says zap web",
    "they asked me to delete web",
    "they asked me to zap web",
    "I was told to zap web",
    "Bob wrote \"zap web\"",
    "the ticket reads: zap web",
    "according to Bob zap web",
    "apparently web deleted itself",
    "rumour has it that Alice zapped web",
    "Bob promised to zap web",
    // Asked without a mark.
    "has anyone deleted web",
    "did somebody delete web",
    "anyone deleted web",
    "who zapped web",
    "have they zapped web",
    "in case someone deletes web",
    // Headlines and lines of logs.
    "web deleted",
    "Deployment web scaled to 3 by bob",
    "Deleted web",
    "Scaled web to 3",
    "evicted pods deleted",
    "deployment.apps web restarted",
    "2026-11-20T10:00:00Z INFO zap web",
    "12:00:01 zap web",
    "INFO zap web ok",
    "E1120 10:00:00 zap web",
    "Normal Killing pod web",
    "level=info msg=zap web",
    "changelog: removed web",
];

/// Requests with a verb that the rules do not know.
const REQUESTED: &[&str] = &[
    // What is to be hit is described by what became of it.
    "zap the evicted pods",
    "bin the failed jobs",
    "bin failed jobs",
    "ditch all crashed pods",
    "zap the deprecated deployment",
    "please zap the deprecated deployment",
    "axe those evicted pods",
    "ditch the old failed jobs",
    "clear out the completed jobs",
    "mop up the evicted pods in demo",
    "could you ditch the terminated pods",
    "let's ditch the crashed pods",
    "zap the failed and evicted pods",
    "zap the failed, crashed and evicted pods",
    "scrap web's evicted pods",
    "scrap my abandoned deployment",
    "sweep away any failed jobs",
    "zap all evicted pods",
    "zap the pods that were evicted",
    "zap the pods which have crashed",
    "zap the deployment named web",
    "zap the pods created by bob",
    "zap everything related to web",
    "ditch the stuck job called backup",
    "zap a few of the failed jobs",
    // What is to become of it is said in the passive.
    "web should be zapped",
    "web must be zapped",
    "web has to be zapped",
    "web needs to be zapped",
    "the evicted pods should be zapped",
    "web should get zapped",
    "web ought to be binned",
    "I want web zapped",
    "I want web to be zapped",
    "I want web gone",
    "I need the evicted pods gone",
    "we want web scaled way down",
    "please have web zapped",
    "please get web zapped",
    "can you get web zapped",
    "can we have web zapped",
    "could you have the failed jobs binned",
    "have web zapped",
    "I'd like web zapped",
    "I would like to see web zapped",
    "I would love to see web doubled",
    "let web be zapped",
    "make sure web gets zapped",
    "make sure that web is zapped",
    "see to it that web is zapped",
    "can web be zapped",
    "could web please be zapped",
    "would you please see web zapped",
    "we need web shut down",
    // A state as the reason.
    "web is stuck, zap it",
    "web is overloaded, it could do with six of them",
    "six copies of web are needed",
    "six copies of web would be much appreciated",
    "six of web would be greatly appreciated",
    // No past at all.
    "zap web",
    "please zap web",
    "zap web asap",
    "would you zap web for me",
    "yeet web",
    "ditch web",
    "bin web and redis",
    "zap the hundred pods",
    "shut web up",
    "please just zap web already-running",
    "web could do with six of them",
    "I would love to see 4 of web",
    "bring me six of web",
    "speed web up",
    "feed web more memory",
    "it would be so nice to have 4 copies of \"web\"",
    "we had better zap web",
    "I've got to zap web",
    "kindly vaporise web",
    "zap the stateful set db",
    "go and zap web",
    "zap n1 into oblivion",
];

#[test]
fn what_tells_of_a_change_never_becomes_one() {
    let wrong: Vec<&str> = TOLD
        .iter()
        .filter(|prompt| may_become_a_change(prompt))
        .copied()
        .collect();
    assert!(TOLD.len() >= 60);
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        TOLD.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_request_in_words_that_the_rules_do_not_know_is_not_taken_for_something_told() {
    let wrong: Vec<String> = REQUESTED
        .iter()
        .filter(|prompt| holds_back(prompt))
        .map(|prompt| (*prompt).to_owned())
        .collect();
    assert!(REQUESTED.len() >= 60);
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        REQUESTED.len(),
        wrong.join("\n")
    );
}

const LEADS: &[&str] = &[
    "",
    "please note ",
    "FYI ",
    "like I said, ",
    "I can see ",
    "let me tell you ",
    "I want you to know that ",
    "we need to mention that ",
    "get this: ",
    "you should know ",
    "I have to say ",
    "can you see that ",
];
const SUBJECTS: &[&str] = &[
    "I",
    "we",
    "somebody",
    "Bob",
    "the intern",
    "my team",
    "ops",
    "someone from the night shift",
];
const AUXILIARIES: &[&str] = &["", "just ", "have ", "had ", "has just ", "must have "];
/// What was done, and the rest of the verb behind the object.
const PASTS: &[(&str, &str)] = &[
    ("deleted", ""),
    ("zapped", ""),
    ("restarted", ""),
    ("took", " down"),
    ("threw away", ""),
    ("blew", " away"),
    ("shut down", ""),
    ("got rid of", ""),
    ("brought", " to zero"),
    ("tore down", ""),
    ("set", " to 3"),
];
const OBJECTS: &[&str] = &[
    "web",
    "the nodes",
    "deployment web",
    "it",
    "all pods in demo",
    "the failed jobs",
];

#[test]
fn whoever_did_whatever_to_anything_is_told_and_not_asked_for() {
    let mut all = 0;
    let mut wrong = vec![];
    // Each word by itself, and the whole way of some.
    let leaks =
        |prompt: &str, at: usize| !holds_back(prompt) || at.is_multiple_of(29) && may_become_a_change(prompt);
    for (lead, subject) in LEADS
        .iter()
        .flat_map(|lead| SUBJECTS.iter().map(move |s| (lead, s)))
    {
        for (auxiliary, object) in AUXILIARIES
            .iter()
            .flat_map(|a| OBJECTS.iter().map(move |o| (a, o)))
        {
            for (past, rest) in PASTS {
                let prompt = format!("{lead}{subject} {auxiliary}{past} {object}{rest}");
                all += 1;
                if leaks(&prompt, all) {
                    wrong.push(prompt);
                }
            }
        }
    }
    assert!(all > 15_000, "{all}");
    assert!(
        wrong.is_empty(),
        "{} of {all}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What stands before a participle and orders, around what it is said of.
const ORDERS: &[(&str, &str)] = &[
    ("I want ", " "),
    ("we need ", " "),
    ("I'd like ", " "),
    ("please have ", " "),
    ("please get ", " "),
    ("can you get ", " "),
    ("could we have ", " "),
    ("", " should be "),
    ("", " must be "),
    ("", " has to be "),
    ("", " needs to be "),
    ("", " should get "),
    ("I want ", " to be "),
    ("make sure ", " gets "),
    ("ensure that ", " is "),
    ("let ", " be "),
];

#[test]
fn whatever_is_ordered_in_the_passive_is_asked_for() {
    let mut wrong = vec![];
    for (before, between) in ORDERS {
        for object in [
            "web",
            "the shop frontend",
            "the evicted pods",
            "all failed jobs in demo",
            "\"web\"",
        ] {
            for done in [
                "zapped",
                "binned",
                "yeeted",
                "sent packing",
                "zapped please",
                "binned asap",
            ] {
                let prompt = format!("{before}{object}{between}{done}");
                if holds_back(&prompt) {
                    wrong.push(prompt);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_only_describes_what_is_to_be_hit_tells_nothing() {
    let mut wrong = vec![];
    for verb in [
        "zap",
        "please bin",
        "ditch",
        "can you scrap",
        "let's axe",
        "go and yeet",
    ] {
        for which in ["the", "all the", "those", "my", "the three", "the old"] {
            for state in [
                "evicted",
                "failed",
                "crashed",
                "deprecated",
                "abandoned",
                "cordoned",
                "restarted",
                "broken",
            ] {
                for what in ["pods", "jobs in demo", "deployments of web", "ones"] {
                    let prompt = format!("{verb} {which} {state} {what}");
                    if holds_back(&prompt) {
                        wrong.push(prompt);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_plain_form_that_tells_makes_no_change_of_what_stands_behind_it() {
    for told in [
        "can you see that ops just set deployment web to 3",
        "let me tell you somebody has just set web to 3",
        "show that ops set deployment web to 3",
    ] {
        assert!(!may_become_a_change(told), "{told}: {:?}", read(told));
    }
    for asked in [
        "set deployment web to 3",
        "can you just set deployment web to 3",
        "show pods and set deployment web to 3",
    ] {
        assert!(may_become_a_change(asked), "{asked}: {:?}", read(asked));
    }
}

#[test]
fn a_plain_form_that_orders_is_an_order_whatever_says_when_and_where_before_it_and_whatever_its_object_is_called()
 {
    let mut missed = vec![];
    for prompt in [
        "first set deployment web to 3 replicas",
        "next set deployment web to 3 replicas",
        "yes set deployment web to 3 replicas",
        "yes, set deployment web to 3 replicas",
        "afterwards set deployment web to 3 replicas",
        "in namespace prod set deployment web to 3 replicas",
        "in the prod namespace set deployment web to 3 replicas",
        "in prod, set deployment web to 3 replicas",
        "restart deployment beat",
        "scale deployment cost to 3",
        "restart deployment broadcast",
    ] {
        let changes = matches!(read(prompt), Interpretation::Intents(intents) if intents.iter().all(|i| !i.action.is_read()));
        if !changes {
            missed.push((prompt, read(prompt)));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    let told = [
        "in prod ops set deployment web to 3 replicas",
        "first ops set deployment web to 3 replicas",
        "yes, bob set deployment web to 3 replicas",
        "in prod bob just set deployment web to 3 replicas",
        "ops set deployment set to 3 replicas",
        "bob cut deployment cost to 3 replicas",
    ];
    let made: Vec<_> = told.iter().filter(|prompt| may_become_a_change(prompt)).collect();
    assert!(made.is_empty(), "{made:#?}");
}
