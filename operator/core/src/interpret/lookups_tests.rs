use super::*;
use crate::interpret::token;

fn read_one(prompt: &str) -> Option<Draft> {
    let lexicon = Lexicon::builtin();
    read(&token::tokens(prompt, 0), &lexicon)
}

#[test]
fn a_kind_or_a_field_is_explained_however_it_is_named() {
    for (prompt, kind, path) in [
        ("explain deployments", "Deployment", None),
        ("explain pod.spec.containers", "Pod", Some("spec.containers")),
        (
            "please explain deployment.spec.strategy?",
            "Deployment",
            Some("spec.strategy"),
        ),
        (
            "explain the field spec.replicas of deployments",
            "Deployment",
            Some("spec.replicas"),
        ),
        (
            "explain deployment spec.minReadySeconds",
            "Deployment",
            Some("spec.minReadySeconds"),
        ),
        (
            "what does deployment.spec.paused mean?",
            "Deployment",
            Some("spec.paused"),
        ),
        ("what fields does a configmap have", "ConfigMap", None),
        ("what are the fields of pod.spec", "Pod", Some("spec")),
        ("explain deploy.spec", "Deployment", Some("spec")),
    ] {
        let draft = read_one(prompt).unwrap_or_else(|| panic!("{prompt}"));
        assert_eq!(draft.action, Action::Explain, "{prompt}");
        assert_eq!(draft.target.kind.as_deref(), Some(kind), "{prompt}");
        assert_eq!(draft.params.path.as_deref(), path, "{prompt}");
    }
}

#[test]
fn objects_are_found_by_image_text_owner_and_label() {
    let find = |prompt: &str| {
        let draft = read_one(prompt).unwrap_or_else(|| panic!("{prompt}"));
        assert_eq!(draft.action, Action::Find, "{prompt}");
        (draft.target, draft.params)
    };
    for (prompt, kind) in [
        ("find pods with image nginx:1.28", Some("Pod")),
        ("which deployments use the image nginx:1.28?", Some("Deployment")),
        ("which pods run nginx:1.28", Some("Pod")),
        ("who uses nginx:1.28", None),
        ("find everything that uses image nginx:1.28", None),
    ] {
        let (target, params) = find(prompt);
        assert_eq!(
            (target.kind.as_deref(), params.image.as_deref()),
            (kind, Some("nginx:1.28")),
            "{prompt}"
        );
    }
    let (target, params) = find("find configmaps that contain 'redis host' in namespace prod");
    assert_eq!(
        (target.kind.as_deref(), params.text.as_deref()),
        (Some("ConfigMap"), Some("redis host"))
    );
    assert_eq!(target.namespace.as_deref(), Some("prod"));
    for (prompt, owner) in [
        ("find everything owned by deployment web", "deployment/web"),
        ("find pods owned by deployment/web", "deployment/web"),
        ("find objects owned by web", "web"),
    ] {
        assert_eq!(find(prompt).1.from.as_deref(), Some(owner), "{prompt}");
    }
    let (target, _) = find("find everything labelled app=web and tier=db in all namespaces");
    assert_eq!(
        (target.selector.as_deref(), target.all_namespaces),
        (Some("app=web,tier=db"), true)
    );
}

#[test]
fn what_is_not_wholly_such_a_question_is_left_to_the_grammar() {
    for prompt in [
        "explain how to delete pod web-1",
        "explain",
        "explain web",
        "what does drain do",
        "explain pods and delete web",
        "explain deployment.spec; delete pod web",
        "find pods",
        "find pods in demo",
        "find pods labelled app=web",
        "find pods with image nginx and delete them",
        "which pods run",
        "show pods of deployment web",
        "list pods",
        "which pods restarted most",
        "find nginx",
        "find pods that use nginx",
        "who deleted deployment web",
        "delete everything labelled a=b",
        "search",
        "what is running",
        "find everything labelled",
        "get pods -n demo",
        "which pods belong to web",
    ] {
        assert!(read_one(prompt).is_none(), "{prompt}: {:?}", read_one(prompt));
    }
}
