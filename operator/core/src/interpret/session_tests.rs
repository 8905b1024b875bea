//! What earlier turns and earlier words make of "it", "that" and "the same", and what the sentence says.

use super::*;
use kubechat_crds::intent::SortBy;

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
    let turns: Vec<Earlier> = previous.iter().map(|i| Earlier::of(vec![i.clone()])).collect();
    talk(prompt, &turns)
}

fn talk(prompt: &str, previous: &[Earlier]) -> Understood {
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
            "explaining anything but the fields of a kind is not supported",
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

fn listed(kind: &str, namespace: &str) -> Earlier {
    Earlier::of(vec![earlier(
        Action::List,
        IntentTarget {
            kind: Some(kind.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..IntentTarget::default()
        },
    )])
}

fn turn(action: Action, names: &[&str], namespace: Option<&str>) -> Earlier {
    Earlier::of(vec![earlier(action, target(names, namespace))])
}

fn asked(prompt: &str, previous: &[Earlier]) -> String {
    match talk(prompt, previous).interpretation {
        Interpretation::NeedsInput { message, .. } => message,
        other => panic!("{prompt}: {other:?}"),
    }
}

fn done(prompt: &str, previous: &[Earlier]) -> Intent {
    match talk(prompt, previous).interpretation {
        Interpretation::Intents(list) if list.len() == 1 => list[0].clone(),
        other => panic!("{prompt}: {other:?}"),
    }
}

#[test]
fn a_correction_in_the_next_turn_replaces_one_value_of_the_request_before() {
    let scale = [turn(Action::Scale, &["web"], Some("demo"))];
    for prompt in [
        "no, 4",
        "no 4",
        "I meant 4 replicas",
        "sorry, 4",
        "no, make it 4",
        "oops, 4",
    ] {
        let got = done(prompt, &scale);
        assert_eq!(
            (got.action, got.params.replicas),
            (Action::Scale, Some(4)),
            "{prompt}"
        );
        assert_eq!(got.target, target(&["web"], Some("demo")), "{prompt}");
    }
    for prompt in ["no, api", "I meant api", "sorry, I meant api"] {
        let got = done(prompt, &scale);
        assert_eq!(
            (got.action, got.params.replicas),
            (Action::Scale, Some(3)),
            "{prompt}"
        );
        assert_eq!(got.target, target(&["api"], Some("demo")), "{prompt}");
    }
    assert_eq!(
        done("no, in staging", &scale).target,
        target(&["web"], Some("staging"))
    );
    let mut image = turn(Action::SetImage, &["web"], None);
    image.intents[0].params.image = Some("nginx:1.27".into());
    for (prompt, want) in [("no, 1.28", ":1.28"), ("I meant nginx:1.28", "nginx:1.28")] {
        let got = done(prompt, std::slice::from_ref(&image));
        assert_eq!(got.params.image.as_deref(), Some(want), "{prompt}");
    }
}

#[test]
fn a_correction_that_fits_no_value_or_could_fit_several_is_asked_about() {
    let restart = turn(Action::Restart, &["web"], None);
    let both = Earlier::of(vec![
        earlier(Action::Scale, target(&["web"], None)),
        earlier(Action::Scale, target(&["api"], None)),
    ]);
    let mut more = turn(Action::Scale, &["web"], None);
    more.intents[0].params.replicas = None;
    more.intents[0].params.replicas_delta = Some(2);
    for previous in [restart, both, more] {
        asked("no, 4", std::slice::from_ref(&previous));
    }
    let two = turn(Action::Restart, &["web", "api"], None);
    asked("no, redis", std::slice::from_ref(&two));
    for prompt in [
        "no",
        "no, wait",
        "no, delete",
        "no, thanks",
        "no, nothing",
        "no, pods",
    ] {
        let got = talk(prompt, &[turn(Action::Restart, &["web"], None)]).interpretation;
        assert!(!matches!(got, Interpretation::Intents(_)), "{prompt}: {got:?}");
    }
}

#[test]
fn the_same_elsewhere_repeats_reads_at_once_and_changes_only_when_they_are_asked_for() {
    let pods = [listed("Pod", "demo")];
    for prompt in [
        "and in staging?",
        "what about in staging",
        "and in the staging namespace?",
        "same in staging",
    ] {
        let got = done(prompt, &pods);
        assert_eq!(
            (got.action, got.target.namespace.as_deref()),
            (Action::List, Some("staging")),
            "{prompt}"
        );
    }
    let everywhere = done("and in all namespaces?", &pods);
    assert!(everywhere.target.all_namespaces && everywhere.target.namespace.is_none());
    let scale = [turn(Action::Scale, &["web"], Some("demo"))];
    assert_eq!(
        done("same in staging", &scale).target.namespace.as_deref(),
        Some("staging")
    );
    assert!(asked("and in staging?", &scale).contains("question or a request"));
    for prompt in [
        "and in all namespaces",
        "the same in all namespaces",
        "and in 10 minutes",
        "and in 5m",
    ] {
        asked(prompt, &scale);
    }
    let node = [Earlier::of(vec![earlier(
        Action::Cordon,
        IntentTarget {
            kind: Some("Node".into()),
            names: vec!["n1".into()],
            ..IntentTarget::default()
        },
    )])];
    asked("same in staging", &node);
}

#[test]
fn which_of_them_asks_about_what_was_listed() {
    let mut web = listed("Pod", "demo");
    web.intents[0].target.selector = Some("app=web".into());
    for prompt in [
        "which of them restarted most?",
        "which one has the most restarts",
        "and which of those restarted most often?",
    ] {
        let got = done(prompt, std::slice::from_ref(&web));
        assert_eq!(
            (got.action, got.params.sort),
            (Action::List, Some(SortBy::Restarts)),
            "{prompt}"
        );
        assert_eq!(got.target, web.intents[0].target, "{prompt}");
    }
    let failing = done("which of them are failing?", std::slice::from_ref(&web));
    assert!(failing.params.state.is_some() && failing.target == web.intents[0].target);
    asked("which of them restarted most?", &[listed("Deployment", "demo")]);
    let two = Earlier::of(vec![
        web.intents[0].clone(),
        listed("Service", "demo").intents[0].clone(),
    ]);
    asked("which of them restarted most?", &[two]);
    asked("which of them restarted most?", &[]);
}

#[test]
fn what_follows_a_question_about_a_change_is_no_change_until_it_is_asked_for() {
    let wondered = Earlier {
        only_asked: true,
        ..turn(Action::Delete, &["web"], Some("demo"))
    };
    let previous = std::slice::from_ref(&wondered);
    for prompt in ["same for api", "and in staging?", "no, api", "same in staging"] {
        let got = talk(prompt, previous).interpretation;
        assert!(matches!(got, Interpretation::WhatIf(_)), "{prompt}: {got:?}");
    }
    for prompt in ["do it", "ok, go ahead", "yes, do that please"] {
        let got = done(prompt, previous);
        assert_eq!(
            (got.action, &got.target),
            (Action::Delete, &wondered.intents[0].target),
            "{prompt}"
        );
    }
    for prompt in ["do it", "go ahead"] {
        asked(prompt, &[turn(Action::Delete, &["web"], Some("demo"))]);
        asked(prompt, &[]);
    }
    let got = talk("do it?", previous).interpretation;
    assert!(!matches!(got, Interpretation::Intents(_)), "{got:?}");
}

#[test]
fn one_of_the_candidates_answers_the_question() {
    let mut unclear = turn(Action::Scale, &["nginks"], Some("demo"));
    unclear.intents[0].target.kind = None;
    unclear.candidates = vec![
        "deployment/nginx".into(),
        "statefulset/nginx".into(),
        "deployment/nginx2".into(),
    ];
    let previous = std::slice::from_ref(&unclear);
    for prompt in [
        "deployment/nginx",
        "the first one",
        "first",
        "I meant deployment/nginx",
        "deployment nginx",
    ] {
        let got = done(prompt, previous);
        assert_eq!(
            (got.action, got.params.replicas),
            (Action::Scale, Some(3)),
            "{prompt}"
        );
        assert_eq!(got.target, target(&["nginx"], Some("demo")), "{prompt}");
    }
    let stateful = done("the statefulset", previous);
    assert_eq!(stateful.target.kind.as_deref(), Some("StatefulSet"));
    for prompt in ["nginx", "the deployment"] {
        assert!(asked(prompt, previous).contains("several"), "{prompt}");
    }
    for prompt in ["the fifth one", "service/nginx", "yes", "redis"] {
        let got = talk(prompt, previous).interpretation;
        let scales =
            matches!(&got, Interpretation::Intents(list) if list.iter().any(|i| !i.action.is_read()));
        assert!(!scales, "{prompt}: {got:?}");
    }
}

#[test]
fn only_the_request_that_named_the_workload_gets_a_new_number() {
    let scale = turn(Action::Scale, &["web"], None);
    // What names nothing stands in between without harm.
    let got = done("now make it 7", &[scale.clone(), listed("Pod", "demo")]);
    assert_eq!(
        (got.target.names, got.params.replicas),
        (vec!["web".to_owned()], Some(7))
    );
    // "it" is api by now.
    asked("now make it 7", &[scale, turn(Action::Get, &["api"], None)]);
}

#[test]
fn a_read_follows_the_newest_thing_named_and_a_change_only_the_one_there_is() {
    let talked = [
        turn(Action::Get, &["web"], None),
        turn(Action::Get, &["api"], None),
    ];
    assert_eq!(done("describe it", &talked).target, target(&["api"], None));
    let said = asked("restart it", &talked);
    assert!(said.contains("which of the objects"), "{said}");
}

#[test]
fn a_change_of_a_whole_kind_is_what_it_means_as_well() {
    let web = turn(Action::Scale, &["web"], None);
    let mut all = turn(Action::Scale, &[], None);
    all.intents[0].target.all = true;
    for prompt in ["make it 2", "now make it 7", "restart it"] {
        asked(prompt, &[web.clone(), all.clone()]);
        done(prompt, &[all.clone(), web.clone()]);
    }
}

#[test]
fn a_question_that_follows_is_no_request() {
    let scale = [turn(Action::Scale, &["web"], Some("demo"))];
    for prompt in [
        "same for redis?",
        "make it 7?",
        "I meant api?",
        "the same in staging?",
    ] {
        assert!(asked(prompt, &scale).contains("question"), "{prompt}");
    }
    let got = done("same for api?", &[turn(Action::Describe, &["web"], None)]);
    assert_eq!(got.target.names, ["api"]);
}

#[test]
fn a_polite_question_that_follows_is_a_request() {
    let scale = [turn(Action::Scale, &["web"], Some("demo"))];
    for (prompt, name, namespace, replicas) in [
        ("can you make it 7?", "web", "demo", 7),
        ("could you please make it 7?", "web", "demo", 7),
        ("ok, could you now make it seven?", "web", "demo", 7),
        ("would you do the same for api?", "api", "demo", 3),
        ("can we do the same in staging?", "web", "staging", 3),
    ] {
        let got = done(prompt, &scale);
        assert_eq!(
            (got.target, got.params.replicas),
            (target(&[name], Some(namespace)), Some(replicas)),
            "{prompt}"
        );
    }
    let mut wondered = scale[0].clone();
    wondered.only_asked = true;
    let got = talk("can you do it?", &[wondered]).interpretation;
    assert!(!matches!(got, Interpretation::Intents(_)), "{got:?}");
}

#[test]
fn another_name_is_not_all_that_a_new_object_needs() {
    let mut bind = turn(Action::BindRole, &["edit-alice"], Some("demo"));
    bind.intents[0].params.subjects = vec!["user/alice".into()];
    let mut expose = turn(Action::Expose, &["web"], Some("demo"));
    expose.intents[0].params.new_name = Some("front".into());
    let settings = turn(Action::CreateConfigMap, &["settings"], None);
    for before in [bind, expose, settings] {
        for prompt in ["same for bob", "I meant bob", "no, I meant bob"] {
            asked(prompt, std::slice::from_ref(&before));
        }
    }
    let mut image = turn(Action::SetImage, &["web"], None);
    image.intents[0].params.image = Some("nginx:1.27".into());
    asked("I meant httpd", &[image]);
}
