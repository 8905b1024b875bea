use std::collections::BTreeSet;

use kubechat_crds::Level;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::Value;

use super::*;
use crate::interpret::{Context, Interpretation, Lexicon, interpret};
use crate::plan::blank;
use crate::risk::floors;

/// Set to rewrite docs/actions.md instead of comparing it.
const REWRITE: &str = "KUBECHAT_REWRITE_DOCS";

#[test]
fn the_guide_says_what_the_catalogue_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/actions.md");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, document()).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == document(),
        "docs/actions.md is not what the code says: {REWRITE}=1 cargo test -p kubechat-core --lib catalogue"
    );
}

#[test]
fn every_example_is_understood_as_the_action_it_stands_under() {
    let lexicon = Lexicon::builtin();
    let context = Context {
        lexicon: &lexicon,
        previous: &[],
    };
    let mut bad = vec![];
    for action in Action::ALL {
        let says = entry(*action).says;
        assert_eq!(
            says.is_empty(),
            *action == Action::Recreate,
            "{action} has no example"
        );
        for sentence in says {
            let read = interpret(sentence, &context).interpretation;
            let right = matches!(&read, Interpretation::Intents(i) if i.len() == 1 && i[0].action == *action);
            if !right {
                bad.push(format!("{action}: {sentence:?} is {read:?}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_parameter_is_one_of_the_api_and_every_one_of_the_api_belongs_to_an_action() {
    let schema = serde_json::to_value(one_of_each()).unwrap();
    let of_api: BTreeSet<&str> = schema.as_object().unwrap().keys().map(String::as_str).collect();
    let mut named: BTreeSet<&str> = Action::ALL
        .iter()
        .flat_map(|a| entry(*a).params)
        .copied()
        .collect();
    assert!(named.is_subset(&of_api), "{:?}", named.difference(&of_api));
    // Every change may be asked for as a plan only.
    named.insert("dryRun");
    assert_eq!(named, of_api, "{:?}", of_api.difference(&named));
}

/// One of every parameter, as the API writes it.
fn one_of_each() -> Value {
    use kubechat_crds::intent::{Output, SortBy, Taint};
    let map = || std::collections::BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    serde_json::to_value(IntentParams {
        replicas: Some(1),
        replicas_delta: Some(1),
        replicas_percent: Some(1),
        current_replicas: Some(1),
        image: Some("i".into()),
        container: Some("c".into()),
        requests: map(),
        limits: map(),
        env_refs: map(),
        min_replicas: Some(1),
        max_replicas: Some(1),
        cpu_percent: Some(1),
        taints: vec![Taint::default()],
        from: Some("cronjob/a".into()),
        port: Some(1),
        target_port: Some(1),
        service_type: Some("NodePort".into()),
        new_name: Some("n".into()),
        command: vec!["c".into()],
        schedule: Some("s".into()),
        deny: vec!["Ingress".into()],
        allow_from: Some("a=b".into()),
        host: Some("h".into()),
        path: Some("/".into()),
        class_name: Some("c".into()),
        subjects: vec!["user/a".into()],
        grants: Some("reads".into()),
        min_available: Some("1".into()),
        max_unavailable: Some("1".into()),
        size: Some("1Gi".into()),
        manifest: Some("{}".into()),
        patch: Some("{}".into()),
        set: map(),
        remove: vec!["a".into()],
        overwrite: Some(true),
        revision: Some(1),
        to_revision: Some(1),
        text: Some("t".into()),
        other_namespace: Some("n".into()),
        verb: Some("get".into()),
        timeout_seconds: Some(1),
        grace_period_seconds: Some(1),
        force: Some(true),
        ignore_not_found: Some(true),
        tail: Some(1),
        since_seconds: Some(1),
        previous: Some(true),
        state: Some("s".into()),
        sort: Some(SortBy::Restarts),
        output: Some(Output::Table),
        dry_run: Some(true),
    })
    .unwrap()
}

#[test]
fn every_change_has_floors_that_risk_knows_and_a_step_has_one_of_them() {
    for action in Action::ALL {
        let Some(change) = change(*action) else {
            assert!(action.is_read());
            continue;
        };
        assert!(!action.is_read(), "{action}");
        assert!(!change.floors.is_empty() && !change.undo.is_empty(), "{action}");
        for floor in change.floors {
            assert!(floors::ALL.contains(floor), "{action}: {floor:?}");
            assert!(floor.level > Level::Safe, "{action}: a change is never safe");
        }
        let step = blank(
            *action,
            Effect::Update,
            vec![Target::default()],
            IntentParams::default(),
        );
        let floor = (change.floor)(&step);
        assert!(
            change.floors.contains(&floor),
            "{action}: {floor:?} is not in its list"
        );
        assert!((change.weight)(&step).percent > 0, "{action}");
    }
}

#[test]
fn every_change_has_a_kubectl_line_that_names_its_target() {
    for action in Action::ALL.iter().filter(|a| !a.is_read()) {
        let target = Target {
            kind: "Thing".to_owned(),
            name: "its-name".to_owned(),
            namespace: Some("place".to_owned()),
            ..Target::default()
        };
        let step = blank(*action, Effect::Update, vec![target], IntentParams::default());
        let line = crate::plan::actions::command(&step);
        assert!(
            line.starts_with("kubectl ") && line.contains("its-name") && line.ends_with(" -n place"),
            "{line}"
        );
    }
}

#[test]
fn no_bare_name_means_a_kind_of_kubechat_or_a_secret() {
    for action in Action::ALL {
        for (group, kind) in entry(*action).kinds {
            assert!(!group.ends_with("kubechat.io") && *kind != "Secret", "{action}");
        }
    }
}
