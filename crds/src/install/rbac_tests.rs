use super::*;

#[test]
fn an_interpreter_of_its_own_acts_as_nobody_and_takes_its_rights_from_the_operator() {
    let options = Options {
        separate_interpreter: true,
        ..Options::default()
    };
    for r in interpreter_cluster().iter().chain(&interpreter_namespaced()) {
        assert!(
            !r.verbs.contains(&"impersonate") && !r.verbs.contains(&"*"),
            "{r:?}"
        );
        assert!(!r.resources.contains(&"secrets"), "{r:?}");
        let writes = r.verbs.iter().any(|v| !READ.contains(v));
        let reports = r
            .resources
            .iter()
            .all(|x| x.ends_with("/status") || *x == "events" || *x == "leases");
        assert!(!writes || reports, "{r:?}");
    }
    let operator = operator_cluster(&options);
    assert!(
        !operator
            .iter()
            .any(|r| r.resources.contains(&"services") || r.resources.contains(&"endpointslices"))
    );
    let all = objects(&options);
    let bound = |name: &str| {
        let in_credentials = |o: &&Value| {
            o["kind"] == "RoleBinding" && o["metadata"]["namespace"] == json!(options.credentials)
        };
        all.iter()
            .filter(in_credentials)
            .any(|o| o["subjects"][0]["name"] == name)
    };
    assert!(bound(INTERPRETER) && !bound("kubechat-operator"));
    // What an installation without an interpreter of its own left bound is emptied.
    let left = all.iter().find(|o| {
        o["kind"] == "Role"
            && o["metadata"]["namespace"] == json!(options.credentials)
            && o["metadata"]["name"] == "kubechat-operator"
    });
    assert_eq!(left.unwrap()["rules"], json!([]));
    assert!(
        !objects(&Options::default())
            .iter()
            .any(|o| o.to_string().contains(INTERPRETER))
    );
}

#[test]
fn the_operator_changes_no_workload_and_impersonates_named_groups_only() {
    let options = Options::default();
    let all = [operator_cluster(&options), operator_namespaced(), credentials()].concat();
    for r in &all {
        assert!(!r.verbs.contains(&"*") && !r.resources.contains(&"*"), "{r:?}");
        let own = [
            "kubechat.io",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "events.k8s.io",
            "coordination.k8s.io",
            "admissionregistration.k8s.io",
            "rbac.authorization.k8s.io",
        ];
        if r.group == "rbac.authorization.k8s.io" {
            assert_eq!(
                r.verbs, READ,
                "whoever could write these could give himself everything"
            );
        }
        let core = ["users", "groups", "serviceaccounts", "namespaces", "secrets"];
        let counts = r.group.is_empty() && r.resources == ["pods"] && r.verbs == ["list"];
        let looks = r.resources == ["services"] && r.verbs == ["get"]
            || r.resources == ["endpointslices"] && r.verbs == ["list"];
        assert!(
            counts
                || looks
                || own.contains(&r.group)
                || r.group.is_empty() && r.resources.iter().all(|x| core.contains(x)),
            "{r:?}"
        );
        let secrets = r.resources.contains(&"secrets")
            && operator_cluster(&options)
                .iter()
                .any(|c| c.resources == r.resources);
        assert!(
            !secrets,
            "Secrets are read in two namespaces, and nowhere else: {r:?}"
        );
        if r.resources.contains(&"groups") {
            assert_eq!(r.names, options.groups);
            assert!(r.names.iter().all(|g| !g.starts_with("system:")));
        }
    }
}

#[test]
fn only_approver_roles_hold_the_approve_verbs() {
    for (name, rights) in people() {
        let holds = rights
            .iter()
            .any(|r| r.verbs.iter().any(|v| v.starts_with("approve-")));
        assert_eq!(holds, name.starts_with("kubechat-approver"), "{name}");
    }
}
