//! What came back for a sentence, looked at where it counts: by the process that plans, whoever asked the model. A process of
//! its own that reads what models say is the one that they might turn.

use kubechat_core::interpret::{self, Earlier, Lexicon};
use kubechat_core::models::{changes_a_question, grounded};
use kubechat_crds::chat_request::{InterpretationStatus, Reading};
use kubechat_crds::intent::{Intent, Span};
use kubechat_crds::{condition, digest};

use super::names;

/// A sentence and what it may speak of.
#[derive(Clone, Copy)]
pub(crate) struct Sentence<'a> {
    pub(crate) prompt: &'a str,
    pub(crate) lexicon: &'a Lexicon,
    pub(crate) earlier: &'a [Earlier],
    /// Its own, and the one that names without one mean.
    pub(crate) namespaces: [&'a str; 2],
}

/// What is said of a change that a model made of a question.
pub(super) fn changed_a_question(provider: &str) -> String {
    format!("AIProvider {provider} made a change of what reads as a question. Say plainly what to change")
}

/// Why nothing is made of these intents; `None` when they are what the sentence may mean.
pub(crate) fn refused(sentence: Sentence<'_>, provider: &str, intents: &[Intent]) -> Option<String> {
    let Sentence {
        prompt,
        lexicon,
        earlier,
        namespaces,
    } = sentence;
    let context = interpret::Context {
        lexicon,
        previous: earlier,
    };
    let rules = interpret::interpret(prompt, &context);
    if let Some(why) = misformed(intents) {
        return Some(format!("AIProvider {provider}: {why}"));
    }
    if changes_a_question(&rules.interpretation, intents) {
        return Some(changed_a_question(provider));
    }
    let known = names::of(prompt, &rules, earlier, &namespaces);
    let known: Vec<&str> = known.iter().map(|(_, name)| name.as_str()).collect();
    grounded::invented(prompt, &known, intents).map(|field| kubechat_ai::Failure::Invented(field).to_string())
}

/// Why no model may have said these intents: what its words are read by holds for those of another process too.
fn misformed(intents: &[Intent]) -> Option<String> {
    if intents.is_empty() {
        return Some("it found no request in it that it could be sure of".to_owned());
    }
    let mut all = serde_json::to_value(intents).unwrap_or_default();
    for intent in all.as_array_mut().into_iter().flatten() {
        if let Some(fields) = intent.as_object_mut() {
            // Where it stands in the sentence is not the model's to say.
            fields.remove("span");
        }
    }
    let read = kubechat_ai::parse(&serde_json::json!({"intents": all}).to_string());
    read.err()
        .map(|why| kubechat_ai::Failure::Rejected(why).to_string())
}

/// What another process says that it understood, in this one's words: what people read before they confirm follows from the
/// intents, and nothing else does.
pub(crate) fn retold(prompt: &str, reading: &Reading, said: InterpretationStatus) -> InterpretationStatus {
    let end = i32::try_from(prompt.len()).unwrap_or(i32::MAX);
    let whole = |mut intent: Intent| {
        intent.span = Span { start: 0, end };
        intent.confidence = intent.confidence.clamp(0, 100);
        intent
    };
    let intents: Vec<Intent> = said.intents.into_iter().map(whole).collect();
    InterpretationStatus {
        understood: condition::clip(interpret::say(&intents), 2000),
        confidence: intents.iter().map(|intent| intent.confidence).min().unwrap_or(0),
        intents,
        provider: if said.provider == interpret::RULES {
            reading.provider.clone()
        } else {
            said.provider
        },
        prompt_digest: digest::digest_of(&prompt)
            .map(|d| d.to_string())
            .unwrap_or_default(),
        only_asked: false,
        ..said
    }
}

#[cfg(test)]
mod tests {
    use kubechat_core::interpret::{Context, Interpretation};

    use super::*;

    fn meant(words: &str) -> Vec<Intent> {
        let lexicon = Lexicon::builtin();
        let context = Context {
            lexicon: &lexicon,
            previous: &[],
        };
        match interpret::interpret(words, &context).interpretation {
            Interpretation::Intents(intents) => intents,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn what_another_process_made_of_a_sentence_is_judged_where_it_is_planned() {
        let lexicon = Lexicon::builtin();
        let before = [Earlier::of(meant("scale deployment ledger to 2"))];
        for (prompt, answer, earlier, says) in [
            (
                "I would love to see 4 copies of \"web\"",
                "scale deployment web to 4",
                &[][..],
                "",
            ),
            (
                "I would love to see 4 copies of \"web\"",
                "scale deployment db to 4",
                &[],
                "target.names",
            ),
            (
                "I would love to see 4 copies of \"web\"",
                "scale deployment web to 40",
                &[],
                "a number",
            ),
            (
                "I would love to see 4 copies of \"web\"",
                "scale deployment web in namespace prod to 4",
                &[],
                "target.namespace",
            ),
            (
                "show deployment web",
                "delete deployment web",
                &[],
                "what reads as a question",
            ),
            (
                "I would love to see 4 of it",
                "scale deployment ledger to 4",
                &before,
                "",
            ),
        ] {
            let sentence = Sentence {
                prompt,
                lexicon: &lexicon,
                earlier,
                namespaces: ["demo", "demo"],
            };
            let why = refused(sentence, "small", &meant(answer)).unwrap_or_default();
            assert_eq!(why.is_empty(), says.is_empty(), "{prompt} / {answer}: {why}");
            assert!(why.contains(says), "{prompt} / {answer}: {why}");
        }
    }

    #[test]
    fn what_no_model_may_say_is_refused_whoever_says_it() {
        let lexicon = Lexicon::builtin();
        let why = |intents: &[Intent]| {
            let sentence = Sentence {
                prompt: "I would love to see 4 copies of \"web\"",
                lexicon: &lexicon,
                earlier: &[],
                namespaces: ["demo", "demo"],
            };
            refused(sentence, "small", intents)
        };
        let good = meant("scale deployment web to 4").remove(0);
        assert_eq!(why(std::slice::from_ref(&good)), None);
        let with = |spoil: fn(&mut Intent)| {
            let mut intent = good.clone();
            spoil(&mut intent);
            vec![intent]
        };
        for (intents, says) in [
            (vec![], "no request"),
            (vec![good.clone(); 17], "more than 16"),
            (
                with(|i| i.action = kubechat_crds::intent::Action::Recreate),
                "action",
            ),
            (
                with(|i| i.action = kubechat_crds::intent::Action::Apply),
                "action",
            ),
            (
                with(|i| i.target.kind = Some("Depl\u{200b}oyment".to_owned())),
                "kind",
            ),
            (
                with(|i| i.target.group = Some("apps\u{202e}".to_owned())),
                "group",
            ),
            (with(|i| i.target.names = vec!["x".repeat(300)]), "names"),
        ] {
            let why = why(&intents).unwrap_or_default();
            assert!(why.contains(says), "{says}: {why}");
        }
    }

    #[test]
    fn what_people_read_before_they_confirm_is_said_by_the_process_that_plans() {
        let reading = Reading {
            provider: "small".to_owned(),
            ..Reading::default()
        };
        let prompt = "see 4 of \"web\"";
        let said = retold(
            prompt,
            &reading,
            InterpretationStatus {
                understood: "list pods; harmless".to_owned(),
                intents: meant("delete deployment web"),
                provider: interpret::RULES.to_owned(),
                prompt_digest: "sha256:00".to_owned(),
                only_asked: true,
                tokens: Some(7),
                ..InterpretationStatus::default()
            },
        );
        assert_eq!(said.understood, interpret::say(&meant("delete deployment web")));
        assert_eq!((said.provider.as_str(), said.only_asked), ("small", false));
        assert!(said.prompt_digest.len() > 60 && said.tokens == Some(7));
        let end = i32::try_from(prompt.len()).unwrap();
        assert_eq!(said.intents[0].span, Span { start: 0, end });
    }
}
