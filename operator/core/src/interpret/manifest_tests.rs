use super::*;
use crate::interpret::{Context, Earlier, Interpretation, Lexicon, interpret};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// Name, namespace and whether it is a dry-run.
type Meant = (String, Option<String>, Option<bool>);

fn kinds(prompt: &str) -> Option<Vec<Meant>> {
    let drafts = read(prompt, false)?.ok()?;
    let each = drafts.into_iter();
    Some(
        each.map(|d| (d.target.names.join(","), d.target.namespace, d.params.dry_run))
            .collect(),
    )
}

fn refused(prompt: &str) -> String {
    read(prompt, false).unwrap().unwrap_err().message
}

#[test]
fn a_manifest_is_applied_where_only_that_is_said() {
    let one = |place: Option<&str>| Some(vec![("a".to_owned(), place.map(str::to_owned), None)]);
    for (lead, place) in [
        ("apply", None),
        ("Please apply this manifest:", None),
        ("can you apply the following YAML, please?", None),
        ("apply this in prod", Some("prod")),
        ("apply this to the prod namespace", Some("prod")),
        ("apply the manifest into namespace prod", Some("prod")),
        ("apply this to the cluster", None),
        ("kubectl apply -f -", None),
        ("$ kubectl apply -n prod -f - <<EOF", Some("prod")),
        ("cat <<'EOF' | kubectl apply --namespace=prod -f -", Some("prod")),
        ("i want to apply\nthis:", None),
    ] {
        assert_eq!(kinds(&format!("{lead}\n{MAP}")), one(place), "{lead}");
        let ended = if lead.contains("<<") {
            format!("{lead}\n\n{MAP}EOF\n")
        } else {
            format!("{lead}\n```yaml\n{MAP}```\nthanks")
        };
        assert_eq!(kinds(&ended), one(place), "{lead}");
    }
    assert_eq!(kinds(&format!("{MAP}\napply this, please")), one(None));
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    for prompt in [
        format!("apply {json}"),
        format!("apply '{json}'"),
        format!("please apply: `{json}`"),
    ] {
        assert_eq!(kinds(&prompt), one(None), "{prompt}");
    }
    let dry = kinds(&format!("kubectl apply --dry-run=server -f -\n{MAP}")).unwrap();
    assert_eq!(dry[0].2, Some(true));
}

#[test]
fn a_manifest_is_also_compared_with_what_is_there() {
    for lead in [
        "diff",
        "diff this with what is running",
        "kubectl diff -f -",
        "compare this manifest with the live one",
    ] {
        let drafts = read(&format!("{lead}\n{MAP}"), false).unwrap().unwrap();
        assert_eq!(
            (drafts[0].action, drafts[0].params.dry_run),
            (Action::Diff, None),
            "{lead}"
        );
    }
    assert!(read(&format!("apply against\n{MAP}"), false).is_none());
}

#[test]
fn several_documents_are_several_objects_in_their_order() {
    let second = MAP.replace("name: a", "name: b, namespace: dev");
    let both = kinds(&format!("apply\n---\n{MAP}---\n# nothing\n---\n{second}---\n")).unwrap();
    let names: Vec<_> = both
        .iter()
        .map(|(name, place, _)| (name.as_str(), place.as_deref()))
        .collect();
    assert_eq!(names, [("a", None), ("b", Some("dev"))]);
}

#[test]
fn any_other_word_beside_it_is_no_request_to_apply_it() {
    for lead in [
        "don't apply",
        "delete",
        "apply and delete",
        "what is this",
        "should i apply",
        "never apply this",
        "apply apply",
        "apply this tomorrow",
        "apply this if it is missing",
        "replace",
        "what happens if i apply this",
    ] {
        assert!(read(&format!("{lead}\n{MAP}"), false).is_none(), "{lead}");
    }
    assert!(read(&format!("apply\n```\n{MAP}```\nand then delete it all"), false).is_none());
    for prompt in [
        "apply",
        "apply the changes",
        "apply {}",
        "kubectl apply -f x.yaml",
        "list pods",
        "apply\nname: a",
    ] {
        assert!(read(prompt, false).is_none(), "{prompt}");
    }
    assert!(refused(MAP).contains("write apply above it"));
}

#[test]
fn what_is_no_plain_manifest_of_one_object_is_refused() {
    let with = |line: &str| format!("apply\n{MAP}{line}\n");
    for (prompt, says) in [
        (
            format!(
                "apply in prod\n{}",
                MAP.replace("name: a", "name: a, namespace: dev")
            ),
            "say one of the two",
        ),
        (format!("apply in prod in dev\n{MAP}"), "Two namespaces"),
        (
            format!("kubectl apply --force-conflicts -f -\n{MAP}"),
            "--force-conflicts",
        ),
        (format!("kubectl apply --prune -f -\n{MAP}"), "--prune"),
        (format!("kubectl apply -f x.yaml\n{MAP}"), "file is not read"),
        (
            MAP.replace("ConfigMap", "Secret")
                .replacen("api", "apply\napi", 1),
            "Secret is not applied",
        ),
        (
            format!("apply\n{}", MAP.replace("name: a", "name: A_b")),
            "not a valid",
        ),
        (
            format!("apply\n{}", MAP.replace("name: a", "generateName: a")),
            "metadata.name",
        ),
        (
            format!("apply\n{}", MAP.replace("name: a", "name: a, namespace: A")),
            "no name of a namespace",
        ),
        (with("status: {a: b}"), "Status is written by the cluster"),
        (with("kind: Service"), "no YAML"),
        (with("data: {a: b"), "no YAML"),
        (with("items: []"), "one object"),
    ] {
        let said = refused(&prompt);
        assert!(said.contains(says), "{prompt}: {said}");
    }
    let hidden = read(&format!("apply\n{MAP}"), true).unwrap().unwrap_err().message;
    assert!(hidden.contains("nobody can see"), "{hidden}");
}

#[test]
fn a_file_mode_is_the_number_that_kubectl_reads() {
    let prompt = "apply\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {volumes: [{name: v, secret: {defaultMode: 0400, secretName: \"007\"}}]}\n";
    let drafts = read(prompt, false).unwrap().unwrap();
    let manifest: Value = serde_json::from_str(drafts[0].params.manifest.as_deref().unwrap()).unwrap();
    let secret = &manifest["spec"]["volumes"][0]["secret"];
    assert_eq!(
        secret,
        &serde_json::json!({"defaultMode": 256, "secretName": "007"})
    );
}

#[test]
fn what_tools_leave_in_a_manifest_is_no_hindrance_and_its_text_is_kept_as_it_is() {
    let prompt = "apply\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  creationTimestamp: null\ndata:\n  conf: |\n    \tit\u{2019}s a\u{a0}tab\nstatus: {}\n";
    let drafts = read(prompt, false).unwrap().unwrap();
    let text = drafts[0].params.manifest.clone().unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["data"]["conf"], "\tit\u{2019}s a\u{a0}tab\n");
    assert_eq!(manifest["metadata"], serde_json::json!({"name": "a"}));
    assert!(manifest.get("status").is_none());
}

#[test]
fn a_manifest_that_aliases_make_longer_than_the_api_takes_is_refused() {
    let long = "x".repeat(9_000);
    let twice = format!("apply\n{MAP}data:\n  a: &a {long}\n  b: *a\n");
    assert!(refused(&twice).contains("longer than 16384 bytes"));
    let once = format!("apply\n{MAP}data:\n  a: {long}\n");
    assert!(read(&once, false).unwrap().is_ok());
}

#[test]
fn aliases_that_grow_without_end_are_refused() {
    let mut bomb = format!("apply\n{MAP}data:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..9 {
        let before = n - 1;
        let refs = vec![format!("*a{before}"); 10].join(",");
        bomb.push_str(&format!("  a{n}: &a{n} [{refs}]\n"));
    }
    assert!(!refused(&bomb).is_empty());
}

#[test]
fn a_manifest_is_of_the_object_that_it_names_whatever_follows() {
    let lexicon = Lexicon::builtin();
    let prompts = [
        "same for api",
        "no, I meant api",
        "sorry, I meant api",
        "the same in staging",
        "and in staging?",
        "no, in staging",
    ];
    for lead in ["apply", "diff"] {
        for offers in [false, true] {
            let first = Context {
                lexicon: &lexicon,
                previous: &[],
            };
            let Interpretation::Intents(list) = interpret(&format!("{lead}\n{MAP}"), &first).interpretation
            else {
                panic!("{lead}");
            };
            let mut turn = Earlier::of(list);
            if offers {
                turn.candidates = vec!["deployment/web".into(), "deployment/api".into()];
            }
            for prompt in prompts {
                let then = Context {
                    lexicon: &lexicon,
                    previous: std::slice::from_ref(&turn),
                };
                let got = interpret(prompt, &then).interpretation;
                assert!(
                    matches!(got, Interpretation::NeedsInput { .. }),
                    "{lead}, {prompt}: {got:?}"
                );
            }
        }
    }
}

fn first(prompt: &str) -> Value {
    let drafts = read(prompt, false).unwrap().unwrap();
    serde_json::from_str(drafts[0].params.manifest.as_deref().unwrap()).unwrap()
}

#[test]
fn what_is_applied_is_what_was_written() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  conf: |\n    ```\n    EOF\n    EOT\n    END\n    last\n";
    for prompt in [
        format!("apply\n{map}"),
        format!("apply\n```yaml\n{map}```\n"),
        format!("kubectl apply -f - <<EOF\n{map}EOF\n"),
        format!("apply\n# mine\n```yaml\n{map}```\nthanks"),
    ] {
        assert_eq!(
            first(&prompt)["data"]["conf"],
            "```\nEOF\nEOT\nEND\nlast\n",
            "{prompt}"
        );
    }
    for last in ["say 'hi'", "echo `date`", "x\""] {
        let ends = format!("apply\n{MAP}data:\n  a: |\n    {last}\n");
        assert_eq!(first(&ends)["data"]["a"], format!("{last}\n"));
    }
    let quoted = format!("apply\n{MAP}data:\n  a: 'x'");
    assert_eq!(first(&quoted)["data"]["a"], "x");
    let flow = "apply\n--- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}}";
    assert_eq!(first(flow)["data"]["a"], "b");
}

#[test]
fn a_mark_that_was_not_opened_ends_nothing() {
    let second = MAP.replace("name: a", "name: b");
    for prompt in [
        format!("apply\n{MAP}EOF\n"),
        format!("apply\n```\n{MAP}EOF\n```"),
        format!("apply <<EOF\n{MAP}```\nEOF"),
        format!("apply <<EOF\n{MAP}EOT\nEOF"),
        format!("apply <<EOF\n{MAP}EOF\n---\n{second}EOF"),
        format!("apply <<EOF\n{MAP}EOF\n{second}"),
        format!("apply\n```{MAP}```"),
    ] {
        assert!(!matches!(read(&prompt, false), Some(Ok(_))), "{prompt}");
    }
}

#[test]
fn a_question_about_a_manifest_applies_nothing_and_another_cluster_is_no_namespace() {
    for lead in [
        "Can I apply this?",
        "Is this the config we want to apply?",
        "is this manifest to apply",
        "could this apply",
        "would this apply",
        "please, can i apply this",
        "apply this?",
    ] {
        let said = refused(&format!("{lead}\n{MAP}"));
        assert!(said.contains("question or a request"), "{lead}: {said}");
    }
    for lead in [
        "can you apply this?",
        "could you please apply this",
        "would you apply this",
        "can we apply this?",
        "here is a manifest, apply it",
        "i would like to apply this",
    ] {
        assert!(kinds(&format!("{lead}\n{MAP}")).is_some(), "{lead}");
    }
    for place in [
        "the staging cluster",
        "staging kubernetes cluster",
        "prod cluster",
    ] {
        let said = refused(&format!("apply this to {place}\n{MAP}"));
        assert!(said.contains("this cluster only"), "{place}: {said}");
    }
}

#[test]
fn what_begins_as_a_manifest_is_one_whatever_its_first_line_holds() {
    let json = |text: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"a\"}}, \"data\": {{\"a\": \"{text}\"}}}}"
        )
    };
    for text in ["<<EOF", "a << b", "cat <<'EOF' >x", "<<b>> is bold", "<<<"] {
        let json = json(text);
        for prompt in [
            json.clone(),
            format!("[{json}]"),
            format!("apply\n{json}"),
            format!("apply {json}"),
            format!("make sure that this is gone\n{json}"),
            format!("make sure that this is gone {json}"),
            format!("kind: ConfigMap # {text}\napiVersion: v1\nmetadata: {{name: a}}"),
            format!("--- # {text}\n{MAP}"),
            format!("apply\n--- # {text}\n{MAP}"),
            format!("apiVersion: v1 # {text}\nkind: ConfigMap\nmetadata: {{name: a}}"),
        ] {
            assert!(holds_one(&prompt), "{prompt}");
            assert!(crate::interpret::is_pasted(&prompt), "{prompt}");
        }
        assert_eq!(first(&format!("apply\n{json}"))["data"]["a"], text);
        assert_eq!(first(&format!("apply {json}"))["data"]["a"], text);
    }
    let here = format!("kubectl apply -f - <<EOF\n{}\nEOF", json("<<x"));
    assert_eq!(first(&here)["data"]["a"], "<<x");
}
