use k8s_openapi::api::admissionregistration::v1 as api;

use super::*;

fn all() -> Vec<Value> {
    admission(&Installation::default())
}

fn of_kind(kind: &str) -> Vec<Value> {
    all().into_iter().filter(|o| o["kind"] == kind).collect()
}

fn survives<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(
        &serde_json::to_value(typed).unwrap(),
        object,
        "a field the API does not know"
    );
}

#[test]
fn objects_hold_only_fields_that_the_api_knows() {
    of_kind("ValidatingAdmissionPolicy")
        .iter()
        .for_each(survives::<api::ValidatingAdmissionPolicy>);
    of_kind("ValidatingAdmissionPolicyBinding")
        .iter()
        .for_each(survives::<api::ValidatingAdmissionPolicyBinding>);
    of_kind("MutatingWebhookConfiguration")
        .iter()
        .for_each(survives::<api::MutatingWebhookConfiguration>);
    of_kind("ValidatingWebhookConfiguration")
        .iter()
        .for_each(survives::<api::ValidatingWebhookConfiguration>);
    assert_eq!(all().len(), 10 + 10 + 2);
}

#[test]
fn every_policy_denies_and_fails_closed() {
    let (policies, bindings) = (
        of_kind("ValidatingAdmissionPolicy"),
        of_kind("ValidatingAdmissionPolicyBinding"),
    );
    for policy in &policies {
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        let bound = bindings
            .iter()
            .filter(|b| b["spec"]["policyName"] == policy["metadata"]["name"]);
        let actions: Vec<_> = bound.map(|b| b["spec"]["validationActions"].clone()).collect();
        assert_eq!(actions, [json!(["Deny"])], "{}", policy["metadata"]["name"]);
    }
}

#[test]
fn webhooks_see_only_our_group_and_no_subresource() {
    for configuration in [
        of_kind("MutatingWebhookConfiguration"),
        of_kind("ValidatingWebhookConfiguration"),
    ]
    .concat()
    {
        for webhook in configuration["webhooks"].as_array().unwrap() {
            let deletions = webhook["name"] == "deletions.kubechat.io";
            assert_eq!(
                webhook["failurePolicy"],
                if deletions { "Ignore" } else { "Fail" }
            );
            assert_eq!(webhook["sideEffects"], "NoneOnDryRun");
            for rule in webhook["rules"].as_array().unwrap() {
                assert_eq!(rule["apiGroups"], json!([GROUP]));
                let resources = rule["resources"].as_array().unwrap();
                assert!(
                    resources
                        .iter()
                        .all(|r| !r.as_str().unwrap().contains(['/', '*'])),
                    "{rule}"
                );
                assert_eq!(rule["operations"] == json!(["DELETE"]), deletions, "{rule}");
            }
        }
    }
}

#[test]
fn names_of_namespace_and_service_accounts_are_taken_from_the_installation() {
    let other = Installation {
        namespace: "chat",
        operator: "op",
        webhook: "wh",
        interpreter: None,
    };
    let text = serde_json::to_string(&admission(&other)).unwrap();
    assert!(text.contains("system:serviceaccount:chat:op") && text.contains("system:serviceaccount:chat:wh"));
    assert!(!text.contains("kubechat-system") && !text.contains("kubechat-operator"));
}

#[test]
fn an_interpreter_of_its_own_writes_only_of_turns_that_it_was_asked_to_read() {
    let policy = |interpreter| {
        let installation = Installation {
            interpreter,
            ..Installation::default()
        };
        let all = admission(&installation);
        let own = all.iter().find(|o| {
            let name = o["metadata"]["name"].as_str().unwrap_or_default();
            o["kind"] == "ValidatingAdmissionPolicy" && name.contains("own-writes")
        });
        own.unwrap()["spec"]["validations"].to_string()
    };
    assert!(!policy(None).contains("interpreter"));
    let with = policy(Some("kubechat-interpreter"));
    assert!(with.contains("kubechat-system:kubechat-interpreter"), "{with}");
    assert!(
        with.contains("oldObject.status.reading.state == 'Asked'"),
        "{with}"
    );
}
