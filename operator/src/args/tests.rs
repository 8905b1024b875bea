//! Tests of the command line.

use super::*;

fn read(words: &[&str]) -> Result<Cli, clap::Error> {
    let words = std::iter::once("kubechat")
        .chain(words.iter().copied())
        .map(OsString::from);
    Cli::read(Program::Kubechat, words)
}

#[test]
fn the_command_is_well_formed() {
    Cli::command_for(Program::Kubechat).debug_assert();
}

#[test]
fn help_names_the_program_as_it_was_called() {
    for (arg0, program, shown) in [
        ("/usr/local/bin/kubechat", Program::Kubechat, "Usage: kubechat "),
        (
            "/opt/bin/kubectl-kubechat",
            Program::KubectlPlugin,
            "Usage: kubectl kubechat ",
        ),
        (
            "kubectl-kubechat.exe",
            Program::KubectlPlugin,
            "Usage: kubectl kubechat ",
        ),
    ] {
        assert_eq!(Program::of(Some(OsStr::new(arg0))), program, "{arg0}");
        for words in [&["--help"][..], &["ask", "--help"]] {
            let words = std::iter::once(arg0)
                .chain(words.iter().copied())
                .map(OsString::from);
            let help = Cli::read(program, words).unwrap_err().to_string();
            assert!(help.contains(shown), "{arg0}: {help}");
        }
    }
    assert_eq!(Program::of(None), Program::Kubechat);
}

#[test]
fn connection_flags_work_before_and_after_the_command() {
    let wanted = Connect {
        kubeconfig: Some("k".into()),
        context: Some("alice".into()),
        namespace: Some("demo".into()),
    };
    for words in [
        &["--kubeconfig", "k", "--context", "alice", "-n", "demo", "plans"][..],
        &[
            "plans",
            "--kubeconfig",
            "k",
            "--context=alice",
            "--namespace",
            "demo",
        ],
        &["-ndemo", "plans", "--kubeconfig=k", "--context", "alice"],
    ] {
        assert_eq!(read(words).unwrap().connect, wanted, "{words:?}");
    }
}

#[test]
fn the_operator_has_its_own_namespace_default_and_the_flags_of_the_contract() {
    let words = ["operator", "--audit-store", "sqlite:a.db", "--audit-key", "a.key"];
    let Command::Operator(args) = read(&words).unwrap().command else {
        panic!("not the operator")
    };
    assert_eq!(args.namespace, SYSTEM_NAMESPACE);
    assert_eq!((args.lease_seconds, args.concurrency), (15, 16));
    assert_eq!(args.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(args.webhook_service_name, "kubechat-webhook");
    assert!(
        args.identity.ends_with(&format!("-{}", std::process::id())),
        "{}",
        args.identity
    );
    let more = [
        &words[..],
        &[
            "--kubeconfig",
            "k",
            "--namespace",
            "own",
            "--listen",
            "127.0.0.1:1",
            "--webhook-url",
            "https://127.0.0.1:2",
        ],
        &["--log-format", "text"],
    ]
    .concat();
    let Command::Operator(args) = read(&more).unwrap().command else {
        panic!("not the operator")
    };
    assert_eq!(
        (args.namespace.as_str(), args.kubeconfig),
        ("own", Some("k".into()))
    );
    assert_eq!(
        (args.webhook_url.as_deref(), args.log_format),
        (Some("https://127.0.0.1:2"), LogFormat::Text)
    );
}

#[test]
fn the_webhook_takes_the_flags_of_the_contract() {
    let words = [
        "webhook",
        "--kubeconfig",
        "k",
        "--listen",
        "127.0.0.1:1",
        "--health-listen",
        "127.0.0.1:2",
    ];
    let Command::Webhook(args) = read(&words).unwrap().command else {
        panic!("not the webhook")
    };
    assert_eq!((args.listen.port(), args.health_listen.port()), (1, 2));
    assert_eq!(args.namespace, SYSTEM_NAMESPACE);
}

#[test]
fn a_sentence_may_be_quoted_or_not() {
    for words in [
        &["ask", "scale nginx to 5"][..],
        &["ask", "scale", "nginx", "to", "5"],
    ] {
        let Command::Ask(args) = read(words).unwrap().command else {
            panic!("not ask")
        };
        assert_eq!(args.prompt.join(" "), "scale nginx to 5");
        assert_eq!(args.turn.timeout, Duration::from_secs(600));
    }
}

#[test]
fn refuses_wrong_usage_with_exit_code_2() {
    for bad in [
        &[][..],
        &["frobnicate"],
        &["ask"],
        &["ask", "x", "--timeout", "0s"],
        &["ask", "x", "--timeout", "soon"],
        &["ask", "x", "-n", "Demo"],
        &["ask", "x", "-n", "../../x"],
        &["ask", "x", "-o", "xml"],
        &["ask", "x", "--session", "a/b"],
        &["ask", "x", "--scope-namespace", "a b"],
        &["approve"],
        &["approve", "../secrets"],
        &["approve", "a..b"],
        &["deny", "plan"],
        &["rollback", "-starts-with-dash"],
        &["audit", "init"],
        &["audit", "verify"],
        &["audit", "list", "--db", "x", "--type", "everything"],
        &["operator"],
        &[
            "operator",
            "--audit-store",
            "sqlite:x",
            "--audit-key",
            "k",
            "--concurrency",
            "0",
        ],
        &[
            "operator",
            "--audit-store",
            "sqlite:x",
            "--audit-key",
            "k",
            "--lease-seconds",
            "1",
        ],
        &["completions", "tcsh"],
        &["plans", "--color", "sometimes"],
    ] {
        assert_eq!(
            read(bad).expect_err(&format!("{bad:?}")).exit_code(),
            2,
            "{bad:?}"
        );
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let help = read(&["--help"]).unwrap_err();
    assert_eq!(help.exit_code(), 0);
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "130 "] {
        assert!(
            help.to_string().contains(&format!("\n  {code}")),
            "{code}: {help}"
        );
    }
}
