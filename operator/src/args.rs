//! The command line: what `kubechat` can be told, and nothing of what it then does.
//!
//! **Invariants:** `--kubeconfig`, `--context` and `-n` work like kubectl's, before and after the command; every
//! name a person gives is a valid Kubernetes name before it gets near a URL. Called by `main` and by the tests.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

mod audit;
mod egress;
mod policy;
mod redact;
mod service;
mod values;

pub use audit::{AuditCommand, AuditListArgs};
pub use egress::{EgressCommand, EgressListArgs};
pub use policy::{PolicyCommand, PolicyTestArgs};
pub use redact::RedactArgs;
pub use service::{InterpreterArgs, LogFormat, OperatorArgs, WebhookArgs};
use values::{duration, incident, label, reason, scope_namespace, subdomain};

/// Longest prompt the API takes, in characters.
pub const MAX_PROMPT: usize = 16_384;
/// Namespace KubeChat itself lives in.
pub const SYSTEM_NAMESPACE: &str = kubechat_crds::install::OWN_NAMESPACE;

const CONNECTION: &str = "Connection";
const AFTER_HELP: &str = "\
Exit codes:
  0    done (with --no-wait also: waiting for approval)
  1    error: not found, unreachable, not installed
  2    wrong usage
  3    refused: denied by a person, blocked by a policy, or forbidden
  4    needs input: the sentence was not clear
  5    not finished in time: waiting for approval, or still running
  6    failed, stale, expired, cancelled or interrupted
  130  stopped by Ctrl-C (what was asked goes on in the cluster)
`audit verify` has its own: 0 valid, 10 tampered, 11 truncated, 13 chain broken, 2 could not verify.
`policy test`: 0 nothing would change, 20 some plans would be judged otherwise, 2 a file cannot be used.

Colours: --color, or NO_COLOR in the environment. Diagnostics: KUBECHAT_LOG=debug.";

/// Under which name the program was called: hints repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `kubechat`.
    Kubechat,
    /// `kubectl-kubechat`, which kubectl runs for `kubectl kubechat`.
    KubectlPlugin,
}

impl Program {
    /// From the first argument of the process.
    #[must_use]
    pub fn of(arg0: Option<&OsStr>) -> Self {
        let stem = arg0
            .and_then(|arg0| Path::new(arg0).file_stem())
            .and_then(OsStr::to_str);
        match stem {
            Some(stem) if stem.starts_with("kubectl-") => Self::KubectlPlugin,
            Some(_) | None => Self::Kubechat,
        }
    }

    /// What a person types.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubechat => "kubechat",
            Self::KubectlPlugin => "kubectl kubechat",
        }
    }

    /// The file's name, for shell completions.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Kubechat => "kubechat",
            Self::KubectlPlugin => "kubectl-kubechat",
        }
    }
}

/// Governed changes on Kubernetes, asked for in a sentence.
#[derive(Debug, Parser)]
#[command(name = "kubechat", version, about, after_help = AFTER_HELP, max_term_width = 110, subcommand_required = true)]
pub struct Cli {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connect: Connect,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses the arguments of a process. Help and version come back as an "error" that prints to stdout.
    ///
    /// # Errors
    /// Wrong usage (exit code 2), or a request for help or the version (exit code 0).
    pub fn read(
        program: Program,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::command_for(program).try_get_matches_from(arguments)?;
        Self::from_arg_matches(&matches)
    }

    /// The command as it calls itself under this name.
    #[must_use]
    pub fn command_for(program: Program) -> clap::Command {
        Self::command()
            .bin_name(program.as_str())
            .display_name(program.as_str())
    }
}

/// How to reach the cluster; like kubectl's.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// Kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE", help_heading = CONNECTION)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME", help_heading = CONNECTION)]
    pub context: Option<String>,
    /// Namespace of the turn [default: the context's]
    #[arg(short, long, global = true, value_name = "NAME", value_parser = label, help_heading = CONNECTION)]
    pub namespace: Option<String>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// The object, as JSON on stdout; everything else on stderr.
    Json,
    /// The object, as YAML on stdout; everything else on stderr.
    Yaml,
}

/// Form of what the audit commands print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// For people.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// `-o`.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask for something: a read is answered, a change is planned, approved and executed
    Ask(AskArgs),
    /// List plans, those that wait for somebody first
    Plans(PlansArgs),
    /// Approve a plan, exactly as it is shown
    Approve(ApproveArgs),
    /// Deny a plan: one Deny by a person with the right ends it
    Deny(DenyArgs),
    /// Review a plan that was executed by break-glass: by somebody who neither asked nor approved
    Review(ReviewArgs),
    /// Withdraw a turn of yours: what has not been sent is not sent
    Cancel(CancelArgs),
    /// Ask the same again, as a new turn (after it expired or went stale)
    Again(AgainArgs),
    /// Follow a turn to its end
    Watch(WatchArgs),
    /// Undo what a plan did, as a new turn under the same rules
    Rollback(RollbackArgs),
    /// Say in plain words why a plan or a turn waits, was refused or went stale
    Why(WhyArgs),
    /// Show all that is known of a plan or a turn
    Explain(ExplainArgs),
    /// The audit log: make its key, verify it, list it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What was sent to models, as the audit log has it
    #[command(subcommand)]
    Egress(EgressCommand),
    /// Policy packs: what they would decide
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print a text without the secrets in it, as a model would get it
    Redact(RedactArgs),
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Print KubeChat's CustomResourceDefinitions
    Crds,
    /// Print everything that installs KubeChat's API: CRDs, roles, admission, policies. The policies at the end pass
    /// through the webhook: apply them (again) once it runs
    Manifests(ManifestsArgs),
    /// Run the operator
    Operator(OperatorArgs),
    /// Run the interpreter: the process that asks models, where the operator is not to (operator --separate-interpreter)
    Interpreter(InterpreterArgs),
    /// Run the admission webhook
    Webhook(WebhookArgs),
}

/// What every command that starts a turn takes.
#[derive(Args, Clone, Copy, Debug)]
pub struct TurnArgs {
    /// Confirm without asking, where the policy lets you confirm your own change
    #[arg(short, long)]
    pub yes: bool,
    /// Do not wait for approval and execution: print the answer or the plan and return
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait (30s, 10m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat ask`.
#[derive(Args, Debug)]
pub struct AskArgs {
    /// What to do, in words or as a kubectl line
    #[arg(required = true, num_args = 1.., value_name = "SENTENCE")]
    pub prompt: Vec<String>,
    /// ChatSession this turn belongs to
    #[arg(long, value_name = "NAME", value_parser = subdomain)]
    pub session: Option<String>,
    /// Plan and show; never execute
    #[arg(long)]
    pub plan_only: bool,
    /// Namespace the turn may touch besides its own (repeat for more; '*' is all)
    #[arg(long, value_name = "NAMESPACE", value_parser = scope_namespace)]
    pub scope_namespace: Vec<String>,
    /// Let the turn touch nodes, namespaces and other cluster-scoped objects
    #[arg(long)]
    pub cluster_scoped: bool,
    /// Waiting and output.
    #[command(flatten)]
    pub turn: TurnArgs,
}

/// `kubechat plans`.
#[derive(Args, Debug)]
pub struct PlansArgs {
    /// Plans of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Finished plans too
    #[arg(long)]
    pub all: bool,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat approve`.
#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// The plan, or its turn
    #[arg(value_parser = subdomain)]
    pub plan: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = reason, default_value = "")]
    pub reason: String,
    /// Change ticket, for the record
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// Approve alone in an emergency, where a policy lets your groups; it must be reviewed afterwards
    #[arg(long, value_name = "INCIDENT", value_parser = incident)]
    pub break_glass: Option<String>,
    /// Do not ask back
    #[arg(short, long)]
    pub yes: bool,
    /// Signature and Git.
    #[command(flatten)]
    pub sign: SignArgs,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat deny`.
#[derive(Args, Debug)]
pub struct DenyArgs {
    /// The plan, or its turn
    #[arg(value_parser = subdomain)]
    pub plan: String,
    /// Why: the requester reads it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// Signature and Git.
    #[command(flatten)]
    pub sign: SignArgs,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// What every decision takes: a signature, and a file for Git instead of a request.
#[derive(Args, Clone, Debug, Default)]
pub struct SignArgs {
    /// Print the decision as YAML for a file in Git, and what to sign; nothing is sent
    #[arg(long)]
    pub git: bool,
    /// Sign with this OpenSSH private key (ed25519 or ecdsa, without a passphrase)
    #[arg(long, value_name = "KEY")]
    pub sign_with: Option<PathBuf>,
    /// The decision counts for so long only (30m, 4h)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires: Option<Duration>,
}

/// `kubechat review`.
#[derive(Args, Debug)]
pub struct ReviewArgs {
    /// The plan, or its turn
    #[arg(value_parser = subdomain)]
    pub plan: String,
    /// What was found, for the record
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// Signature and Git.
    #[command(flatten)]
    pub sign: SignArgs,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// The plan, or its turn
    #[arg(value_parser = subdomain)]
    pub name: String,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// The turn, or its plan
    #[arg(value_parser = subdomain)]
    pub name: String,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat again`.
#[derive(Args, Debug)]
pub struct AgainArgs {
    /// The turn, or its plan
    #[arg(value_parser = subdomain)]
    pub name: String,
    /// Waiting and output.
    #[command(flatten)]
    pub turn: TurnArgs,
}

/// `kubechat watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// The turn, or its plan
    #[arg(value_parser = subdomain)]
    pub name: String,
    /// How long to wait (30s, 10m, 2h)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat rollback`.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The plan to undo, or its turn
    #[arg(value_parser = subdomain)]
    pub plan: String,
    /// Plan and show; never execute
    #[arg(long)]
    pub plan_only: bool,
    /// Waiting and output.
    #[command(flatten)]
    pub turn: TurnArgs,
}

/// `kubechat explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The plan, or its turn
    #[arg(value_parser = subdomain)]
    pub name: String,
    /// Form of the output
    #[command(flatten)]
    pub output: Output,
}

/// `kubechat completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `kubechat manifests`.
#[derive(Args, Debug)]
pub struct ManifestsArgs {
    /// Namespace KubeChat lives in
    #[arg(short, long, default_value = SYSTEM_NAMESPACE, value_name = "NAME", value_parser = label, help_heading = CONNECTION)]
    pub namespace: String,
    /// Namespace of the Secrets that AIProviders name
    #[arg(long, value_name = "NAME", default_value = kubechat_crds::install::CREDENTIALS_NAMESPACE, value_parser = label)]
    pub credentials_namespace: String,
    /// With the account of an interpreter of its own: then the operator reads no provider's key and reaches no Service
    #[arg(long)]
    pub separate_interpreter: bool,
    /// Group of people KubeChat may act for (repeat for more) [default: developers, approvers, platform]
    #[arg(long, value_name = "GROUP", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub group: Vec<String>,
}

#[cfg(test)]
mod tests;
