use kubechat_crds::intent::Action;

use super::testing::*;
use super::*;

#[test]
fn a_new_spec_that_may_do_more_weighs_what_it_adds_and_not_what_was_there() {
    let template = |inside: &str| {
        format!(
            r#"{{"spec":{{"template":{{"spec":{{"containers":[{{"image":"web:1","securityContext":{inside}}}]}}}}}}}}"#
        )
    };
    let pod = |inside: &str| format!(r#"{{"spec":{{"template":{{"spec":{inside}}}}}}}"#);
    let containers = "/spec/template/spec/containers";
    let context = format!("{containers}/0/securityContext");
    let patch = |text: &str| {
        let text = text.to_owned();
        with(|p| p.steps[0].patch = Some(text))
    };
    let cases = [
        ("privileged", manifest(&template(r#"{"privileged":true}"#)), 70),
        ("privileged", manifest(&template(r#"{"privileged":false}"#)), 0),
        (
            "privileged",
            line(&format!("{context}/privileged"), Some("false"), Some("true")),
            70,
        ),
        (
            "privileged",
            line(&format!("{context}/privileged"), Some("true"), Some("false")),
            0,
        ),
        (
            "privileged",
            line(&context, None, Some(r#"{"privileged":true}"#)),
            70,
        ),
        (
            "privileged",
            line(
                containers,
                Some(r#"[{"securityContext":{"privileged":true}}]"#),
                Some(r#"[{"securityContext":{"privileged":true}},{}]"#),
            ),
            0,
        ),
        ("privileged", patch(&template(r#"{"privileged":true}"#)), 70),
        (
            "privileged",
            patch(
                r#"[{"op":"add","path":"/spec/template/spec/containers/0/securityContext/privileged","value":true}]"#,
            ),
            70,
        ),
        (
            "host-path",
            manifest(&pod(r#"{"volumes":[{"hostPath":{"path":"/"}}]}"#)),
            50,
        ),
        (
            "host-path",
            line(
                "/spec/template/spec/volumes/0/hostPath/path",
                Some("/var"),
                Some("/"),
            ),
            50,
        ),
        ("host-namespaces", manifest(&pod(r#"{"hostNetwork":true}"#)), 45),
        (
            "host-namespaces",
            line("/spec/template/spec/hostPID", None, Some("true")),
            45,
        ),
        (
            "host-namespaces",
            line("/spec/template/spec/hostIPC", None, Some("false")),
            0,
        ),
        ("run-as-root", manifest(&template(r#"{"runAsUser":0}"#)), 25),
        ("run-as-root", manifest(&template(r#"{"runAsUser":1000}"#)), 0),
        (
            "run-as-root",
            line(&format!("{context}/runAsNonRoot"), Some("true"), Some("false")),
            25,
        ),
        (
            "run-as-root",
            line(&format!("{context}/runAsNonRoot"), Some("true"), None),
            25,
        ),
        (
            "privilege-escalation",
            line(
                &format!("{context}/allowPrivilegeEscalation"),
                Some("false"),
                None,
            ),
            20,
        ),
        (
            "privilege-escalation",
            manifest(&template(r#"{"allowPrivilegeEscalation":true}"#)),
            20,
        ),
        (
            "capabilities",
            manifest(&template(r#"{"capabilities":{"add":["CHOWN"]}}"#)),
            25,
        ),
        (
            "capabilities",
            manifest(&template(r#"{"capabilities":{"drop":["ALL"]}}"#)),
            0,
        ),
        (
            "capabilities",
            line(
                &format!("{context}/capabilities/add"),
                None,
                Some(r#"["CAP_SYS_ADMIN"]"#),
            ),
            60,
        ),
        (
            "capabilities",
            line(
                &format!("{context}/capabilities/add/0"),
                Some("CHOWN"),
                Some("ALL"),
            ),
            60,
        ),
        (
            "image-tag",
            line(
                &format!("{containers}/0/image"),
                Some("web:1"),
                Some("web:latest"),
            ),
            15,
        ),
        (
            "image-tag",
            line(
                &format!("{containers}/0/image"),
                Some("web:1"),
                Some("reg:5000/web"),
            ),
            15,
        ),
        (
            "image-tag",
            line(&format!("{containers}/0/image"), Some("web:1"), Some("web:2")),
            0,
        ),
        (
            "image-tag",
            line(
                &format!("{containers}/0/image"),
                Some("web:1"),
                Some("reg/web@sha256:00"),
            ),
            0,
        ),
        (
            "image-tag",
            with(|p| p.steps[0].params.image = Some(":latest".into())),
            15,
        ),
        (
            "image-tag",
            with(|p| p.steps[0].params.image = Some(":1.28".into())),
            0,
        ),
        (
            "incomplete",
            line(containers, None, Some(&format!("[\"{}\"]", "x".repeat(1000)))),
            30,
        ),
    ];
    for (factor, plan, expected) in cases {
        let risk = judge(&plan);
        assert_eq!(
            weight(&risk, factor),
            expected,
            "{factor}: {:?} {risk:?}",
            plan.steps
        );
    }
}

#[test]
fn of_a_cut_diff_what_is_sent_is_read_instead() {
    let mut plan = line("(9 more changed fields are not shown)", None, None);
    plan.steps[0].patch = Some(r#"{"spec":{"hostNetwork":true}}"#.into());
    assert_eq!(weight(&judge(&plan), "host-namespaces"), 45);
    plan.steps[0].patch = Some("no json".into());
    assert_eq!(weight(&judge(&plan), "incomplete"), 30);
}

#[test]
fn a_new_pod_spec_that_the_plan_does_not_show_counts_as_privileged() {
    let made = |kind: &str, group: &str, manifest: Option<&str>, digest: bool| {
        let mut made = step(Action::Recreate, Effect::Create, group, kind, "web");
        made.manifest = manifest.map(str::to_owned);
        made.manifest_digest = digest.then(|| "sha256:0".to_owned());
        weight(&judge(&plan(vec![made])), "privileged")
    };
    for (kind, group) in [
        ("Deployment", "apps"),
        ("StatefulSet", "apps"),
        ("Job", "batch"),
        ("CronJob", "batch"),
        ("Pod", ""),
        ("Widget", "example.org"),
    ] {
        for hidden in [Some("{}"), Some("no JSON"), None] {
            assert_eq!(made(kind, group, hidden, true), 70, "{kind} {hidden:?}");
        }
        assert_eq!(made(kind, group, Some(r#"{"spec":{"a":1}}"#), true), 0, "{kind}");
    }
    for (kind, group) in [
        ("ConfigMap", ""),
        ("Service", ""),
        ("Role", "rbac.authorization.k8s.io"),
    ] {
        assert_eq!(made(kind, group, Some("{}"), true), 0, "{kind}");
    }
}
