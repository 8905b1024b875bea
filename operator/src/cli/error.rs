//! What can go wrong for a person at a terminal, in words that say what to do. Classification is pure.

use kube::core::Status;

use super::exit::Exit;

/// What was asked of the API server when it went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// RBAC verb.
    pub(crate) verb: &'static str,
    /// Resource (plural).
    pub(crate) resource: &'static str,
    /// Namespace; `None` for all.
    pub(crate) namespace: Option<String>,
}

/// Which API server, and from where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// URL.
    pub(crate) server: String,
    /// Kubeconfig file, or where it came from.
    pub(crate) kubeconfig: String,
    /// Context.
    pub(crate) context: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} (context {} of {})",
            self.server, self.context, self.kubeconfig
        )
    }
}

/// A command that could not do its work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error(
        "cannot use {kubeconfig}: {why}\nName another file with --kubeconfig or KUBECONFIG, another context with --context."
    )]
    Kubeconfig { kubeconfig: String, why: String },
    #[error(
        "the API server does not answer: {place}: {why}\nNothing is known about what was asked. Check that it runs, and --kubeconfig and --context."
    )]
    Unreachable { place: Place, why: String },
    #[error(
        "the API server {place} does not know who you are: {message}\nLog in again, or choose another --context."
    )]
    Unauthorized { place: Place, message: String },
    #[error(
        "you may not {verb} {resource} {wherever}. Nothing was done.\nAsk an administrator for the role {role}:\n  {command}\nThe API server said: {message}"
    )]
    Forbidden {
        verb: &'static str,
        resource: &'static str,
        wherever: String,
        role: &'static str,
        command: String,
        message: String,
    },
    #[error(
        "KubeChat is not installed in this cluster: {place}\nInstall it (`kubechat manifests` prints what it needs), or choose another --context."
    )]
    NotInstalled { place: Place },
    #[error("there is no namespace {0}. Nothing was done. Choose another with -n.")]
    NoNamespace(String),
    #[error("there is no {what} {name} in namespace {namespace}.{}", close_names(close))]
    NotFound {
        what: &'static str,
        name: String,
        namespace: String,
        close: Vec<String>,
    },
    #[error("refused: {0}")]
    Refused(String),
    #[error(
        "KubeChat's admission webhook did not answer, so nothing was created: {0}\nAn administrator sees why in its log; try again when it runs."
    )]
    AdmissionDown(String),
    #[error("the API server refused it ({code}): {message}")]
    Rejected { code: u16, message: String },
    #[error("{0}")]
    Other(String),
}

impl CliError {
    /// The exit code that belongs to it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Forbidden { .. } | Self::Refused(_) => Exit::Refused,
            Self::Kubeconfig { .. }
            | Self::Unreachable { .. }
            | Self::Unauthorized { .. }
            | Self::NotInstalled { .. }
            | Self::NoNamespace(_)
            | Self::NotFound { .. }
            | Self::AdmissionDown(_)
            | Self::Rejected { .. }
            | Self::Other(_) => Exit::Error,
        }
    }

    /// From what the kube client said.
    pub(crate) fn of(error: &kube::Error, place: &Place, call: &Call) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status, place, call),
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => Self::Other(chain(error)),
            _ => Self::Unreachable {
                place: place.clone(),
                why: chain(error),
            },
        }
    }

    /// From the API server's answer.
    pub(crate) fn of_status(status: &Status, place: &Place, call: &Call) -> Self {
        let message = status.message.as_str();
        if let Some(said) = refusal(message) {
            return Self::Refused(said.to_owned());
        }
        if message.contains("failed calling webhook") {
            return Self::AdmissionDown(message.to_owned());
        }
        match status.code {
            401 => Self::Unauthorized {
                place: place.clone(),
                message: message.to_owned(),
            },
            403 => Self::forbidden(message, call),
            404 => {
                let details = status.details.as_ref();
                match details.filter(|details| !details.name.is_empty()) {
                    Some(missing) if missing.kind == "namespaces" => Self::NoNamespace(missing.name.clone()),
                    Some(_) => Self::Rejected {
                        code: 404,
                        message: message.to_owned(),
                    },
                    None => Self::NotInstalled { place: place.clone() },
                }
            }
            code => Self::Rejected {
                code,
                message: message.to_owned(),
            },
        }
    }

    fn forbidden(message: &str, call: &Call) -> Self {
        let role = role(call);
        let (wherever, binding) = match &call.namespace {
            Some(namespace) => (
                format!("in namespace {namespace}"),
                format!("rolebinding NAME -n {namespace}"),
            ),
            None => (
                "in all namespaces".to_owned(),
                "clusterrolebinding NAME".to_owned(),
            ),
        };
        Self::Forbidden {
            verb: call.verb,
            resource: call.resource,
            wherever,
            role,
            command: format!(
                "kubectl create {binding} --clusterrole={role} --user={}",
                user(message).unwrap_or("YOU")
            ),
            message: message.to_owned(),
        }
    }
}

/// The role that holds the right.
fn role(call: &Call) -> &'static str {
    match (call.verb, call.resource) {
        (_, "approvals") => "kubechat-approver-destructive",
        ("create" | "patch", _) => "kubechat-requester",
        (_, _) => "kubechat-viewer",
    }
}

/// What admission said, without the API server's words around it.
fn refusal(message: &str) -> Option<&str> {
    let marks = ["denied the request: ", "denied request: "];
    marks
        .iter()
        .find_map(|mark| message.split_once(mark))
        .map(|(_, said)| said.trim())
}

/// The user an RBAC refusal names; only one that needs no quotes in a shell.
fn user(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User \"")?;
    let (name, _) = rest.split_once('"')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "@.:_-".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

fn close_names(close: &[String]) -> String {
    if close.is_empty() {
        String::new()
    } else {
        format!(" Did you mean {}?", close.join(" or "))
    }
}

/// An error and its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::StatusDetails;

    fn place() -> Place {
        Place {
            server: "https://k:6443".into(),
            kubeconfig: "k.yaml".into(),
            context: "alice".into(),
        }
    }

    fn call(verb: &'static str, resource: &'static str) -> Call {
        Call {
            verb,
            resource,
            namespace: Some("demo".into()),
        }
    }

    fn status(code: u16, message: &str, details: Option<(&str, &str)>) -> Status {
        let details = details.map(|(kind, name)| StatusDetails {
            name: name.into(),
            group: String::new(),
            kind: kind.into(),
            uid: String::new(),
            causes: vec![],
            retry_after_seconds: 0,
        });
        Status {
            code,
            message: message.into(),
            details,
            ..Status::failure(message, "")
        }
    }

    #[test]
    fn a_missing_right_names_verb_resource_namespace_role_and_command() {
        let said =
            "chatrequests.kubechat.io is forbidden: User \"dave\" cannot create resource \"chatrequests\"";
        let error = CliError::of_status(
            &status(403, said, None),
            &place(),
            &call("create", "chatrequests"),
        );
        assert_eq!(error.exit(), Exit::Refused);
        assert_eq!(
            error.to_string(),
            format!(
                "you may not create chatrequests in namespace demo. Nothing was done.\n\
                 Ask an administrator for the role kubechat-requester:\n  \
                 kubectl create rolebinding NAME -n demo --clusterrole=kubechat-requester --user=dave\n\
                 The API server said: {said}"
            )
        );
    }

    #[test]
    fn each_right_has_its_role() {
        for (verb, resource, wanted) in [
            ("create", "chatrequests", "kubechat-requester"),
            ("patch", "chatrequests", "kubechat-requester"),
            ("create", "approvals", "kubechat-approver-destructive"),
            ("list", "commandplans", "kubechat-viewer"),
            ("watch", "chatrequests", "kubechat-viewer"),
        ] {
            assert_eq!(role(&call(verb, resource)), wanted);
        }
    }

    #[test]
    fn a_user_name_that_a_shell_would_read_is_not_put_into_a_command() {
        assert_eq!(user("User \"a;rm -rf\" cannot"), None);
        assert_eq!(user("User \"\" cannot"), None);
        assert_eq!(
            user("User \"alice@corp.example\" cannot"),
            Some("alice@corp.example")
        );
        assert_eq!(user("no user"), None);
    }

    #[test]
    fn admission_refusals_are_shown_plainly() {
        for (code, message) in [
            (
                403,
                "admission webhook \"validate.kubechat.io\" denied the request: the digest is not the plan's",
            ),
            (
                422,
                "approvals.kubechat.io \"x\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: the digest is not the plan's",
            ),
        ] {
            let error = CliError::of_status(
                &status(code, message, None),
                &place(),
                &call("create", "approvals"),
            );
            assert_eq!(error, CliError::Refused("the digest is not the plan's".into()));
            assert_eq!(error.exit(), Exit::Refused);
        }
    }

    #[test]
    fn other_answers_say_what_is_missing() {
        let cases: [(Status, &str); 6] = [
            (
                status(404, "404 page not found", None),
                "KubeChat is not installed in this cluster: https://k:6443",
            ),
            (
                status(404, "namespaces \"x\" not found", Some(("namespaces", "x"))),
                "there is no namespace x",
            ),
            (
                status(
                    404,
                    "approvals.kubechat.io \"x\" not found",
                    Some(("approvals", "x")),
                ),
                "(404)",
            ),
            (status(401, "Unauthorized", None), "does not know who you are"),
            (
                status(500, "Internal error: failed calling webhook \"m\": refused", None),
                "nothing was created",
            ),
            (
                status(422, "spec.prompt: too long", None),
                "(422): spec.prompt: too long",
            ),
        ];
        for (status, said) in cases {
            let error = CliError::of_status(&status, &place(), &call("create", "chatrequests"));
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.exit(), Exit::Error);
        }
    }

    #[test]
    fn a_name_that_is_not_there_gets_close_ones() {
        let error = CliError::NotFound {
            what: "plan or turn",
            name: "ask-x".into(),
            namespace: "demo".into(),
            close: vec!["ask-1".into(), "ask-2".into()],
        };
        assert_eq!(
            error.to_string(),
            "there is no plan or turn ask-x in namespace demo. Did you mean ask-1 or ask-2?"
        );
    }

    #[test]
    fn an_unreachable_server_is_named_with_its_context() {
        let refused = std::io::Error::other("connection refused");
        let error = CliError::of(
            &kube::Error::Service(Box::new(refused)),
            &place(),
            &call("list", "commandplans"),
        );
        let said = error.to_string();
        assert!(
            said.contains("https://k:6443 (context alice of k.yaml)") && said.contains("connection refused"),
            "{said}"
        );
        assert_eq!(error.exit(), Exit::Error);
    }
}
