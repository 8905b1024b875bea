use kubechat_crds::command_plan::DiffLine;
use serde_json::{Value, json};

use super::apply::{change_digest, unsaid};
use super::apply_tests::changed;
use super::changes_tests::{deployment, found, kind};
use crate::plan::{Draft, Found, diff};

/// The plan of an apply that would make this of the object; as the dry-run completes it.
fn planned(found: &Found, after: &Value) -> Draft {
    let mut draft = changed(found, &json!({}), after).unwrap();
    diff::bound(&mut draft.step.diff);
    draft.step.targets[0].change_digest = change_digest(&found.object, after);
    draft
}

fn replicas(number: i32) -> (Found, Value) {
    let web = deployment(None);
    let mut after = web.object.clone();
    after["spec"]["replicas"] = number.into();
    (web, after)
}

#[test]
fn a_field_that_an_apply_would_change_besides_what_the_plan_says_is_found() {
    let (web, after) = replicas(5);
    for digest in [true, false] {
        let mut step = planned(&web, &after).step;
        if !digest {
            step.targets[0].change_digest = None;
        }
        let unsaid = |after: &Value| unsaid(&step, &web.object, after);
        assert_eq!(unsaid(&after), None);
        assert_eq!(unsaid(&web.object), None, "less than was said is no harm");
        // What only the server and KubeChat write is no change.
        let mut marked = after.clone();
        marked["metadata"]["resourceVersion"] = "9".into();
        marked["metadata"]["managedFields"] = json!([{}]);
        marked["metadata"]["annotations"] = json!({"kubechat.io/step-id": "id"});
        marked["status"] = json!({"replicas": 5});
        assert_eq!(unsaid(&marked), None);
        // A field that an earlier apply set, as somebody says meanwhile; a finalizer of a webhook.
        let mut more = after.clone();
        more["spec"]["template"] = Value::Null;
        assert!(unsaid(&more).is_some_and(|path| path.starts_with("/spec/template")));
        let mut held = after.clone();
        held["metadata"]["finalizers"] = json!(["x.io/hold"]);
        assert!(unsaid(&held).is_some_and(|path| path.starts_with("/metadata/finalizers")));
    }
}

#[test]
fn the_same_field_with_another_value_is_not_what_the_plan_says() {
    let (web, after) = replicas(5);
    let mut step = planned(&web, &after).step;
    for _ in 0..2 {
        let (_, other) = replicas(50);
        let found = unsaid(&step, &web.object, &other);
        assert_eq!(found.as_deref(), Some("/spec/replicas to another value"));
        step.targets[0].change_digest = None;
    }
}

#[test]
fn a_value_behind_its_mask_or_its_cut_may_not_change_either() {
    let secret = |value: &str| {
        let web = deployment(Some(json!([{"name": "A", "value": "old"}])));
        let mut after = web.object.clone();
        after["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = value.into();
        (web, after)
    };
    let long = |value: &str| {
        let settings = found(
            kind("", "v1", "ConfigMap", "configmaps"),
            "c",
            json!({"data": {"k": "v"}}),
        );
        let mut after = settings.object.clone();
        after["data"]["k"] = format!("{}{value}", "x".repeat(2_000)).into();
        (settings, after)
    };
    for make in [&secret as &dyn Fn(&str) -> (Found, Value), &long] {
        let (one, after) = make("new");
        let mut step = planned(&one, &after).step;
        assert_eq!(unsaid(&step, &one.object, &after), None);
        let (_, other) = make("other");
        let said = unsaid(&step, &one.object, &other).unwrap();
        assert!(said.contains("does not show all"), "{said}");
        // A plan that does not say what is behind it, says too little.
        step.targets[0].change_digest = None;
        assert!(unsaid(&step, &one.object, &after).is_some());
    }
}

#[test]
fn of_more_fields_than_a_plan_shows_all_must_be_as_planned() {
    let settings = found(
        kind("", "v1", "ConfigMap", "configmaps"),
        "c",
        json!({"data": {}}),
    );
    let with = |last: &str| {
        let mut after = settings.object.clone();
        for index in 0..300 {
            after["data"][format!("k{index:03}")] = format!("v{index}").into();
        }
        after["data"]["zzz"] = last.into();
        after
    };
    let after = with("as planned");
    let mut step = planned(&settings, &after).step;
    assert!(step.diff.iter().any(|line| line.path.starts_with('(')));
    assert_eq!(unsaid(&step, &settings.object, &after), None);
    let other = unsaid(&step, &settings.object, &with("other")).unwrap();
    assert!(other.contains("no room to show"), "{other}");
    step.targets[0].change_digest = None;
    assert!(
        unsaid(&step, &settings.object, &after).is_some(),
        "nobody can say"
    );
}

#[test]
fn what_the_server_chooses_for_a_service_may_differ_and_nothing_else_of_it() {
    let service = found(
        kind("", "v1", "Service", "services"),
        "web",
        json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], "clusterIP": "10.0.0.7"}}),
    );
    let with = |ip: &str, port: i32, selects: &str| {
        let mut after = service.object.clone();
        after["spec"] = json!({"type": "NodePort", "clusterIP": ip, "clusterIPs": [ip], "healthCheckNodePort": port,
            "selector": {"app": selects}, "ports": [{"port": 80, "nodePort": port}, {"port": 81, "nodePort": port + 1}]});
        after
    };
    let step = planned(&service, &with("10.0.0.7", 30_001, "web")).step;
    assert_eq!(
        unsaid(&step, &service.object, &with("10.0.0.9", 31_111, "web")),
        None
    );
    let other = with("10.0.0.7", 30_001, "db");
    let said = unsaid(&step, &service.object, &other);
    assert!(
        said.is_some_and(|path| path.contains("/spec/")),
        "another selector"
    );
}

#[test]
fn of_several_targets_each_is_held_to_what_is_said_of_it() {
    let (web, after) = replicas(5);
    let mut step = planned(&web, &after).step;
    let mut second = step.targets[0].clone();
    second.uid = Some("v".into());
    step.targets.push(second);
    assert_eq!(unsaid(&step, &web.object, &after), None);
    let mut other = web.object.clone();
    other["metadata"]["uid"] = "v".into();
    let mut changed = other.clone();
    changed["spec"]["paused"] = true.into();
    assert_eq!(unsaid(&step, &other, &changed).as_deref(), Some("/spec/paused"));
    step.targets[1].change_digest = None;
    step.diff.push(DiffLine {
        target: 1,
        path: "/spec/paused".into(),
        before: None,
        after: Some("true".into()),
    });
    assert_eq!(unsaid(&step, &other, &changed), None);
}
