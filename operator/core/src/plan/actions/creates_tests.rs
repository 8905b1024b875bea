use kubechat_crds::Level;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use serde_json::{Value, json};

use super::change::Make;
use super::changes_tests::{deployment, found, kind, plain};
use super::{apply, make};
use crate::catalogue;
use crate::plan::{Draft, Found, Refusal};
use crate::risk::testing::guarded;
use crate::risk::{check_forbidden, floor_level};

fn made(
    action: Action,
    selector: Option<&str>,
    params: IntentParams,
    source: Option<&Found>,
) -> Result<Draft, Refusal> {
    let Some(Make::Object(kind)) = catalogue::change(action).map(|c| &c.make) else {
        panic!("{action} makes no object of a kind");
    };
    let target = IntentTarget {
        names: vec!["new".to_owned()],
        selector: selector.map(str::to_owned),
        ..IntentTarget::default()
    };
    let intent = Intent {
        action,
        target,
        params,
        confidence: 100,
        span: Span::default(),
    };
    make::drafts(&intent, kind, "demo", source).map(|mut drafts| drafts.remove(0))
}

fn manifest(draft: &Draft) -> Value {
    serde_json::from_str(draft.step.manifest.as_deref().unwrap()).unwrap()
}

fn params(fill: impl FnOnce(&mut IntentParams)) -> IntentParams {
    let mut params = IntentParams::default();
    fill(&mut params);
    params
}

#[test]
fn what_is_made_is_new_is_caution_and_is_undone_by_its_deletion() {
    let image = |p: &mut IntentParams| p.image = Some("nginx:1.28".into());
    for (action, selector, params) in [
        (Action::CreateDeployment, None, params(image)),
        (Action::CreateJob, None, params(image)),
        (Action::CreateConfigMap, None, IntentParams::default()),
        (Action::CreateServiceAccount, None, IntentParams::default()),
        (
            Action::CreatePdb,
            Some("app=web"),
            params(|p| p.min_available = Some("50%".into())),
        ),
        (
            Action::CreateNetworkPolicy,
            Some("app=web"),
            params(|p| p.deny = vec!["Ingress".into()]),
        ),
    ] {
        let draft = made(action, selector, params, None).unwrap();
        assert_eq!(draft.step.effect, Effect::Create, "{action}");
        assert_eq!(floor_level(&draft.step), Level::Caution, "{action}");
        assert_eq!(draft.step.rollback.action, Some(Action::Delete), "{action}");
        assert_eq!(manifest(&draft)["metadata"]["namespace"], "demo", "{action}");
    }
    let web = made(Action::CreateDeployment, None, params(image), None).unwrap();
    let web = manifest(&web);
    assert_eq!(
        web["spec"]["selector"]["matchLabels"],
        web["spec"]["template"]["metadata"]["labels"]
    );
}

/// The other way round: whatever has an action of its own is no cheaper as a pasted manifest.
#[test]
fn an_apply_of_the_same_manifest_is_never_cheaper_than_the_change_that_makes_it() {
    let image = |p: &mut IntentParams| p.image = Some("nginx:1.28".into());
    let amount = |p: &mut IntentParams| p.limits = [("cpu".to_owned(), "1".to_owned())].into();
    for (action, selector, params) in [
        (Action::CreateDeployment, None, params(image)),
        (Action::CreateJob, None, params(image)),
        (
            Action::CreateCronJob,
            None,
            params(|p| {
                p.image = Some("nginx:1.28".into());
                p.schedule = Some("0 3 * * *".into());
            }),
        ),
        (Action::CreateConfigMap, None, IntentParams::default()),
        (Action::CreateServiceAccount, None, IntentParams::default()),
        (Action::CreateQuota, None, params(amount)),
        (Action::CreateLimitRange, None, params(amount)),
        (
            Action::CreatePdb,
            Some("app=web"),
            params(|p| p.max_unavailable = Some("0".into())),
        ),
        (
            Action::CreateNetworkPolicy,
            Some("app=web"),
            params(|p| p.deny = vec!["Ingress".into()]),
        ),
    ] {
        let own = made(action, selector, params, None).unwrap();
        let manifest = manifest(&own);
        let target = &own.step.targets[0];
        let of = kind(&target.group, &target.version, &target.kind, &target.resource);
        let given = apply::given(&manifest, None);
        let applied = apply::create(&of, Some("demo"), &manifest, given);
        let weight =
            |draft: &Draft| (catalogue::change(draft.step.action).unwrap().weight)(&draft.step).percent;
        assert!(floor_level(&applied.step) >= floor_level(&own.step), "{action}");
        assert!(weight(&applied) >= weight(&own), "{action}");
        assert_eq!(applied.step.rollback.action, own.step.rollback.action, "{action}");
    }
}

#[test]
fn a_container_of_a_cronjob_is_started_again_where_it_fails_and_that_of_a_job_is_not() {
    let image = params(|p| {
        p.image = Some("busybox:1.37".into());
        p.schedule = Some("0 3 * * *".into());
    });
    let cron = manifest(&made(Action::CreateCronJob, None, image.clone(), None).unwrap());
    assert_eq!(
        cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"],
        "OnFailure"
    );
    let job = manifest(&made(Action::CreateJob, None, image, None).unwrap());
    assert_eq!(job["spec"]["template"]["spec"]["restartPolicy"], "Never");
}

#[test]
fn what_is_missing_is_asked_for_and_what_is_senseless_is_refused() {
    for (action, selector, bad) in [
        (Action::CreateDeployment, None, IntentParams::default()),
        (
            Action::CreateCronJob,
            None,
            params(|p| p.image = Some("a".into())),
        ),
        (Action::CreatePdb, Some("a=b"), IntentParams::default()),
        (
            Action::CreatePdb,
            None,
            params(|p| p.min_available = Some("1".into())),
        ),
        (Action::CreateQuota, None, IntentParams::default()),
        (Action::CreateLimitRange, None, IntentParams::default()),
        (Action::CreateNetworkPolicy, Some("a=b"), IntentParams::default()),
        (
            Action::CreateIngress,
            None,
            params(|p| p.host = Some("a.b".into())),
        ),
        (
            Action::BindRole,
            None,
            params(|p| p.subjects = vec!["user/a".into()]),
        ),
    ] {
        let refused = made(action, selector, bad, None);
        assert!(
            matches!(refused, Err(Refusal::NeedsInput { .. })),
            "{action} {refused:?}"
        );
    }
    let both = |p: &mut IntentParams| {
        p.min_available = Some("1".into());
        p.max_unavailable = Some("1".into());
    };
    let closed = |p: &mut IntentParams| {
        p.deny = vec!["Ingress".into()];
        p.allow_from = Some("a=b".into());
    };
    let amount = |p: &mut IntentParams| p.limits = [("cpu".to_owned(), "much".to_owned())].into();
    for (action, selector, bad) in [
        (Action::CreatePdb, Some("a=b"), params(both)),
        (
            Action::CreatePdb,
            Some("a!=b"),
            params(|p| p.min_available = Some("1".into())),
        ),
        (
            Action::CreatePdb,
            Some("a"),
            params(|p| p.min_available = Some("1".into())),
        ),
        (Action::CreateNetworkPolicy, Some("a=b"), params(closed)),
        (
            Action::CreateNetworkPolicy,
            Some("a=b"),
            params(|p| p.allow_from = Some("c=d,c=e".into())),
        ),
        (
            Action::CreateNetworkPolicy,
            Some("a=b,c=d,a==e"),
            params(|p| p.allow_from = Some("c=d".into())),
        ),
        (
            Action::CreatePdb,
            Some("a=b,a=b"),
            params(|p| p.min_available = Some("1".into())),
        ),
        (
            Action::CreateNetworkPolicy,
            Some("a=b"),
            params(|p| p.deny = vec!["Both".into()]),
        ),
        (Action::CreateQuota, None, params(amount)),
        (Action::CreateLimitRange, None, params(amount)),
    ] {
        let refused = made(action, selector, bad, None);
        assert!(
            matches!(refused, Err(Refusal::Invalid(_))),
            "{action} {refused:?}"
        );
    }
}

#[test]
fn a_job_from_a_cronjob_holds_its_values_beside_the_plan_and_takes_no_image() {
    let pod = json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "of-the-cluster"}]}]});
    let spec = json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}});
    let cron = found(kind("batch", "v1", "CronJob", "cronjobs"), "backup", spec);
    let draft = made(Action::CreateJob, None, IntentParams::default(), Some(&cron)).unwrap();
    assert!(
        !serde_json::to_string(&draft.step)
            .unwrap()
            .contains("of-the-cluster")
    );
    let full = draft
        .sidecars
        .iter()
        .find(|s| Some(&s.digest) == draft.step.manifest_digest.as_ref())
        .unwrap();
    assert!(String::from_utf8_lossy(&full.bytes).contains("of-the-cluster"));
    let image = params(|p| p.image = Some("other".into()));
    assert!(matches!(
        made(Action::CreateJob, None, image, Some(&cron)),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn a_service_listens_where_the_containers_do_and_an_ingress_leads_to_a_port_that_is_there() {
    let mut web = deployment(None);
    web.object["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    assert!(matches!(
        plain(Action::Expose, IntentParams::default(), &web),
        Err(Refusal::NeedsInput { .. })
    ));
    web.object["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}]);
    let service = plain(Action::Expose, params(|p| p.port = Some(80)), &web).unwrap();
    assert_eq!(
        manifest(&service)["spec"]["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 8080}])
    );
    let expression = json!({"key": "tier", "operator": "Exists"});
    for selector in [
        json!({"matchExpressions": []}),
        // The labels alone would reach pods that are not its own.
        json!({"matchLabels": {"app": "web"}, "matchExpressions": [expression]}),
    ] {
        let mut by_hand = web.clone();
        by_hand.object["spec"]["selector"] = selector;
        assert!(matches!(
            plain(Action::Expose, IntentParams::default(), &by_hand),
            Err(Refusal::Invalid(_))
        ));
    }

    let ports = json!({"ports": [{"port": 80}, {"port": 81}]});
    let front = found(kind("", "v1", "Service", "services"), "front", ports);
    let lead = |port| {
        let to = params(|p| {
            p.host = Some("web.example.com".into());
            p.port = port;
        });
        made(Action::CreateIngress, None, to, Some(&front))
    };
    assert!(lead(Some(81)).is_ok());
    for port in [None, Some(82)] {
        let refused = lead(port);
        assert!(
            matches!(&refused, Err(Refusal::NeedsInput { candidates, .. }) if candidates == &["80", "81"]),
            "{refused:?}"
        );
    }
}

#[test]
fn a_binding_is_destructive_says_what_the_role_grants_and_never_to_the_masters() {
    let role = |rules: Value| {
        let mut role = found(
            kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
            "view",
            Value::Null,
        );
        role.object["rules"] = rules;
        role
    };
    let view = role(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]));
    let to = |who: &str| {
        params(|p| {
            p.subjects = vec![who.to_owned()];
            // What a prompt says of it is no evidence.
            p.grants = Some("reads".to_owned());
        })
    };
    let draft = made(Action::BindRole, None, to("user/alice"), Some(&view)).unwrap();
    assert_eq!(floor_level(&draft.step), Level::Destructive);
    assert_eq!(draft.step.params.grants.as_deref(), Some("reads"));
    assert_eq!(draft.step.params.from.as_deref(), Some("clusterrole/view"));
    let unread = made(Action::BindRole, None, to("user/alice"), Some(&role(Value::Null))).unwrap();
    assert_eq!(unread.step.params.grants.as_deref(), Some("unknown"));
    for bad in ["alice", "user/", "serviceaccount/ci", "robot/ci", ""] {
        let refused = made(Action::BindRole, None, to(bad), Some(&view));
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{bad:?}");
    }
    let masters = made(Action::BindRole, None, to("group/system:masters"), Some(&view)).unwrap();
    assert!(check_forbidden(&masters.step, guarded("kubechat-system")).is_err());
    let others = made(Action::BindRole, None, to("group/devs"), Some(&view)).unwrap();
    assert!(check_forbidden(&others.step, guarded("kubechat-system")).is_ok());
}
