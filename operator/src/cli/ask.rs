//! `kubechat ask`, `again`, `rollback` and `watch`: a turn is made (or found) and followed.

use std::time::Duration;

use kube::ResourceExt;
use kube::core::ObjectMeta;
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequest, ChatRequestSpec, LocalRef, Mode};
use tokio::time::Instant;

use super::client::Cluster;
use super::error::CliError;
use super::exit::Exit;
use super::follow::{Confirm, How, follow};
use super::render::Tone;
use super::turn::Turn;
use super::ui::Ui;
use crate::args::{AgainArgs, AskArgs, MAX_PROMPT, RollbackArgs, TurnArgs, WatchArgs};

/// Prefix of the names of turns made here.
const NAME_PREFIX: &str = "ask-";

/// `kubechat ask`.
pub(crate) async fn ask(cluster: &Cluster, ui: &mut Ui, args: &AskArgs) -> Result<Exit, CliError> {
    start(cluster, ui, spec_of(args, &cluster.namespace)?, args.turn).await
}

/// `kubechat again`.
pub(crate) async fn again(cluster: &Cluster, ui: &mut Ui, args: &AgainArgs) -> Result<Exit, CliError> {
    let turn = cluster.turn(&args.name).await?;
    let Some(request) = turn.request else {
        return Err(CliError::Other(format!(
            "the turn of {} is gone or you may not read it, so it cannot be asked again: ask in words",
            args.name
        )));
    };
    start(cluster, ui, again_spec(request.spec), args.turn).await
}

/// `kubechat rollback`.
pub(crate) async fn rollback(cluster: &Cluster, ui: &mut Ui, args: &RollbackArgs) -> Result<Exit, CliError> {
    let turn = cluster.turn(&args.plan).await?;
    let Some(plan) = turn.plan else {
        return Err(CliError::Other(format!(
            "the turn {} has no plan, so there is nothing to undo",
            args.plan
        )));
    };
    let spec = ChatRequestSpec {
        rollback_of: Some(LocalRef::new(plan.name_any())),
        // The undo may touch what the plan touched.
        scope: turn
            .request
            .as_ref()
            .and_then(|request| request.spec.scope.clone()),
        mode: mode(args.plan_only),
        ..ChatRequestSpec::default()
    };
    start(cluster, ui, spec, args.turn).await
}

/// `kubechat watch`: shows, never confirms.
pub(crate) async fn watch(cluster: &Cluster, ui: &mut Ui, args: &WatchArgs) -> Result<Exit, CliError> {
    let turn = cluster.turn(&args.name).await?;
    let how = How {
        confirm: Confirm::Never,
        wait: true,
        deadline: deadline(args.timeout),
    };
    let followed = follow(cluster, ui, turn, how).await?;
    end(ui, followed)
}

/// Creates the turn and follows it.
async fn start(
    cluster: &Cluster,
    ui: &mut Ui,
    spec: ChatRequestSpec,
    args: TurnArgs,
) -> Result<Exit, CliError> {
    let TurnArgs {
        yes,
        no_wait,
        timeout,
        output: _,
    } = args;
    let request = cluster.create(&new_request(spec, &cluster.namespace)).await?;
    ui.say(
        Tone::Faint,
        &format!("Turn {} in namespace {}", request.name_any(), cluster.namespace),
    );
    let how = How {
        confirm: if yes { Confirm::Yes } else { Confirm::Ask },
        wait: !no_wait,
        deadline: deadline(timeout),
    };
    let turn = Turn {
        request: Some(request),
        plan: None,
    };
    let followed = follow(cluster, ui, turn, how).await?;
    end(ui, followed)
}

/// Prints the object, where objects were asked for: the request, or the plan where only that is left.
fn end(ui: &Ui, (turn, exit): (Turn, Exit)) -> Result<Exit, CliError> {
    match (&turn.request, &turn.plan) {
        (Some(request), _) => ui.emit(request)?,
        (None, Some(plan)) => ui.emit(plan)?,
        (None, None) => {}
    }
    Ok(exit)
}

fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout
}

fn mode(plan_only: bool) -> Mode {
    if plan_only { Mode::PlanOnly } else { Mode::Auto }
}

fn new_request(spec: ChatRequestSpec, namespace: &str) -> ChatRequest {
    ChatRequest {
        metadata: ObjectMeta {
            generate_name: Some(NAME_PREFIX.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

fn spec_of(args: &AskArgs, namespace: &str) -> Result<ChatRequestSpec, CliError> {
    let prompt = args.prompt.join(" ");
    if prompt.trim().is_empty() {
        return Err(CliError::Usage(
            "the sentence is empty: say what to do, for example \"scale nginx to 5 replicas\"".to_owned(),
        ));
    }
    let length = prompt.chars().count();
    if length > MAX_PROMPT {
        return Err(CliError::Usage(format!(
            "the sentence has {length} characters, {MAX_PROMPT} are allowed: ask for less at once"
        )));
    }
    Ok(ChatRequestSpec {
        prompt,
        session_ref: args.session.as_deref().map(LocalRef::new),
        scope: scope(args, namespace),
        mode: mode(args.plan_only),
        ..ChatRequestSpec::default()
    })
}

/// The scope that was asked for; the turn's own namespace always belongs to it.
fn scope(args: &AskArgs, namespace: &str) -> Option<Scope> {
    if args.scope_namespace.is_empty() && !args.cluster_scoped {
        return None;
    }
    let mut namespaces = args.scope_namespace.clone();
    if !namespaces.iter().any(|name| name == "*" || name == namespace) {
        namespaces.insert(0, namespace.to_owned());
    }
    Some(Scope {
        namespaces,
        cluster_scoped: args.cluster_scoped,
    })
}

/// The same question as a new turn. A time limit is left out: it belonged to the old turn, and may have passed.
fn again_spec(old: ChatRequestSpec) -> ChatRequestSpec {
    let ChatRequestSpec {
        prompt,
        session_ref,
        cluster_ref,
        provider_ref,
        scope,
        mode,
        references,
        rollback_of,
        not_after: _,
        ttl_seconds_after_finished,
        cancel: _,
        requester: _,
    } = old;
    ChatRequestSpec {
        prompt,
        session_ref,
        cluster_ref,
        provider_ref,
        scope,
        mode,
        references,
        rollback_of,
        not_after: None,
        ttl_seconds_after_finished,
        cancel: false,
        requester: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command, Program};
    use crate::cli::testing;

    fn args(words: &[&str]) -> AskArgs {
        let words = ["kubechat", "ask"]
            .iter()
            .chain(words)
            .map(std::ffi::OsString::from);
        match Cli::read(Program::Kubechat, words).unwrap().command {
            Command::Ask(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_sentence_has_no_scope_and_executes() {
        let spec = spec_of(&args(&["scale", "nginx", "to", "5"]), "demo").unwrap();
        assert_eq!(
            spec,
            ChatRequestSpec {
                prompt: "scale nginx to 5".into(),
                ..ChatRequestSpec::default()
            }
        );
        let request = new_request(spec, "demo");
        assert_eq!(request.metadata.generate_name.as_deref(), Some("ask-"));
        assert_eq!(
            (request.metadata.name, request.metadata.namespace.as_deref()),
            (None, Some("demo"))
        );
    }

    #[test]
    fn a_wider_scope_keeps_the_turns_own_namespace() {
        for (words, wanted, cluster) in [
            (
                &["x", "--scope-namespace", "a", "--scope-namespace", "b"][..],
                &["demo", "a", "b"][..],
                false,
            ),
            (&["x", "--scope-namespace", "demo"], &["demo"], false),
            (&["x", "--scope-namespace", "*", "--cluster-scoped"], &["*"], true),
            (
                &["x", "--cluster-scoped", "--plan-only", "--session", "s"],
                &["demo"],
                true,
            ),
        ] {
            let spec = spec_of(&args(words), "demo").unwrap();
            let scope = spec.scope.unwrap();
            assert_eq!(scope.namespaces, wanted, "{words:?}");
            assert_eq!(scope.cluster_scoped, cluster);
        }
        assert_eq!(
            spec_of(&args(&["x", "--plan-only"]), "demo").unwrap().mode,
            Mode::PlanOnly
        );
    }

    #[test]
    fn refuses_an_empty_or_too_long_sentence_before_asking_the_cluster() {
        for bad in ["", "  ", &"x".repeat(MAX_PROMPT + 1)] {
            let error = spec_of(&args(&[bad]), "demo").unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
        }
        assert!(spec_of(&args(&[&"ä".repeat(MAX_PROMPT)]), "demo").is_ok());
    }

    #[test]
    fn asking_again_keeps_the_question_and_drops_stamp_cancel_and_time_limit() {
        let mut old = testing::request().spec;
        old.cancel = true;
        old.not_after = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            testing::now(),
        ));
        old.session_ref = Some(LocalRef::new("s"));
        old.rollback_of = Some(LocalRef::new("p"));
        old.mode = Mode::PlanOnly;
        let new = again_spec(old.clone());
        assert_eq!(
            (new.prompt, new.session_ref, new.rollback_of, new.mode),
            (old.prompt, old.session_ref, old.rollback_of, old.mode)
        );
        assert_eq!((new.cancel, new.requester, new.not_after), (false, None, None));
    }
}
