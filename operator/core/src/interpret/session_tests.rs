//! What earlier turns and earlier words make of "it", "that" and "the same", and what the sentence says.

use super::*;

fn target(names: &[&str], namespace: Option<&str>) -> IntentTarget {
    IntentTarget {
        kind: Some("Deployment".to_owned()),
        group: Some("apps".to_owned()),
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        namespace: namespace.map(str::to_owned),
        ..IntentTarget::default()
    }
}

fn earlier(action: Action, target: IntentTarget) -> Intent {
    let params = IntentParams {
        replicas: (action == Action::Scale).then_some(3),
        ..IntentParams::default()
    };
    Intent {
        action,
        target,
        params,
        confidence: 100,
        span: Span::default(),
    }
}

fn ask(prompt: &str, previous: &[Intent]) -> Understood {
    let lexicon = Lexicon::builtin();
    interpret(
        prompt,
        &Context {
            lexicon: &lexicon,
            previous,
        },
    )
}

fn intents(prompt: &str, previous: &[Intent]) -> Vec<Intent> {
    match ask(prompt, previous).interpretation {
        Interpretation::Intents(list) => list,
        other => panic!("{prompt}: {other:?}"),
    }
}

#[test]
fn it_is_the_only_earlier_target() {
    let web = earlier(Action::Scale, target(&["web"], Some("demo")));
    for prompt in ["restart it", "now restart that", "restart that deployment"] {
        let list = intents(prompt, std::slice::from_ref(&web));
        assert_eq!(list.len(), 1, "{prompt}");
        assert_eq!(
            (list[0].action, &list[0].target),
            (Action::Restart, &web.target),
            "{prompt}"
        );
        assert!(list[0].confidence < 100, "{prompt}");
    }
}

#[test]
fn asks_when_it_could_be_several_or_nothing() {
    let (web, api) = (
        earlier(Action::Get, target(&["web"], None)),
        earlier(Action::Get, target(&["api"], None)),
    );
    for previous in [vec![], vec![web, api]] {
        let got = ask("delete it", &previous).interpretation;
        assert!(matches!(got, Interpretation::NeedsInput { .. }), "{got:?}");
    }
    let list = earlier(
        Action::List,
        IntentTarget {
            kind: Some("Pod".to_owned()),
            ..IntentTarget::default()
        },
    );
    assert!(matches!(
        ask("delete them", &[list]).interpretation,
        Interpretation::NeedsInput { .. }
    ));
}

#[test]
fn it_in_one_prompt_is_what_was_just_named() {
    let old = earlier(Action::Get, target(&["old"], None));
    let list = intents("scale web in prod to 5, then restart it", &[old]);
    assert_eq!(list[1].target.names, ["web"]);
    assert_eq!(list[1].target.namespace.as_deref(), Some("prod"));
}

#[test]
fn follow_ups_take_the_rest_from_the_last_turn() {
    let web = earlier(Action::Scale, target(&["web"], Some("demo")));
    let list = intents("now make it 7", std::slice::from_ref(&web));
    assert_eq!((list[0].params.replicas, &list[0].target), (Some(7), &web.target));
    let list = intents("same for redis", std::slice::from_ref(&web));
    assert_eq!(
        (list[0].action, list[0].params.replicas),
        (Action::Scale, Some(3))
    );
    assert_eq!(list[0].target, target(&["redis"], Some("demo")));
    for unclear in ["same for everything", "same for Redis", "make it nice"] {
        let got = ask(unclear, std::slice::from_ref(&web)).interpretation;
        assert!(
            matches!(got, Interpretation::NeedsInput { .. }),
            "{unclear}: {got:?}"
        );
    }
}

#[test]
fn sentence_shows_corrections_and_ignored_characters() {
    let got = ask("sclae deploymnt web to 3", &[]).understood;
    assert_eq!(
        got,
        "Understood: scale deployment web to 3 replicas (read 'sclae' as 'scale') (read 'deploymnt' as 'deployment')."
    );
    let got = ask("scale w\u{200b}eb\u{202e} to 3", &[]).understood;
    assert!(
        got.contains("web to 3") && got.contains("ignored 2 invisible characters: \\u{200b} \\u{202e}"),
        "{got}"
    );
    assert!(!got.contains('\u{202e}'));
}

#[test]
fn spans_are_bytes_of_the_original_prompt() {
    let prompt = "please\u{200b} scale web to 3, and restart api.";
    let list = intents(prompt, &[]);
    let words: Vec<&str> = list
        .iter()
        .map(|i| &prompt[i.span.start as usize..i.span.end as usize])
        .collect();
    assert_eq!(words, ["scale web to 3", "restart api"]);
    let lines = "kubectl get pods\nrestart web";
    let list = intents(lines, &[]);
    assert_eq!(
        &lines[list[1].span.start as usize..list[1].span.end as usize],
        "restart web"
    );
}

#[test]
fn groups_come_from_the_lexicon() {
    for (prompt, group) in [
        ("restart deployment web", Some("apps")),
        ("delete pod web-1", None),
        ("kubectl delete hpa x", Some("autoscaling")),
    ] {
        assert_eq!(intents(prompt, &[])[0].target.group.as_deref(), group, "{prompt}");
    }
}

#[test]
fn refusals_name_what_is_missing_and_what_is_close() {
    let cases = [
        (
            "explain web",
            "explain is not supported in this version; closest: describe",
        ),
        ("frobnicate web", "'frobnicate'"),
        ("kubectl delete pod x --as=root", "--as"),
        ("scale Web to 3", "capital letters"),
        ("exec into web", "never run"),
        ("show the password of secret db", "never shown"),
        ("restart web if it is down", "Conditions"),
        ("delete all pods except web", "exception"),
        ("", "empty"),
        ("del\u{8}ete web", "control characters"),
    ];
    for (prompt, part) in cases {
        let Interpretation::NeedsInput { message, .. } = ask(prompt, &[]).interpretation else {
            panic!("{prompt} is not refused");
        };
        assert!(message.contains(part), "{prompt}: {message}");
    }
}
