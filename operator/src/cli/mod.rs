//! The commands of the binary. For people: ask, decide, follow, undo, explain. Also the audit files, manifests,
//! completions, and the start of operator and webhook.
//!
//! **Invariants:** a command acts with the rights of the person who calls it and nothing else; what it decides is a
//! pure function ([`turn`], [`render`]) and what it does is a request to the API server ([`client`]); text of users
//! and clusters is escaped before a terminal sees it ([`render::escape`]).

mod ask;
mod audit;
mod client;
mod completions;
mod decide;
mod egress;
mod error;
mod exit;
mod explain;
mod follow;
mod plans;
mod policy;
mod redact;
mod render;
mod service;
mod signed;
#[cfg(test)]
pub(crate) mod testing;
mod turn;
mod ui;
mod why;

pub use exit::Exit;

use kubechat_crds::install;

use crate::args::{Cli, ColorChoice, Command, Connect, Format, ManifestsArgs, Output, Program, SignArgs};
use client::Cluster;
use error::CliError;
use ui::Ui;

/// Runs the command. Prints its errors; the exit code says how it ended.
pub async fn run(cli: Cli, program: Program) -> Exit {
    let Cli {
        connect,
        color,
        command,
    } = cli;
    match dispatch(&connect, color, command, program).await {
        Ok(exit) => exit,
        Err(error) => {
            ui::print_error(color, &error.to_string());
            error.exit()
        }
    }
}

/// The file of the CustomResourceDefinitions among the manifests.
const CRDS_FILE: &str = "00-crds.yaml";

async fn dispatch(
    connect: &Connect,
    color: ColorChoice,
    command: Command,
    program: Program,
) -> Result<Exit, CliError> {
    let terminal = Terminal {
        connect,
        color,
        program,
    };
    match command {
        Command::Ask(args) => {
            let (cluster, mut ui) = terminal.open(args.turn.output).await?;
            ask::ask(&cluster, &mut ui, &args).await
        }
        Command::Again(args) => {
            let (cluster, mut ui) = terminal.open(args.turn.output).await?;
            ask::again(&cluster, &mut ui, &args).await
        }
        Command::Rollback(args) => {
            let (cluster, mut ui) = terminal.open(args.turn.output).await?;
            ask::rollback(&cluster, &mut ui, &args).await
        }
        Command::Watch(args) => {
            let (cluster, mut ui) = terminal.open(args.output).await?;
            ask::watch(&cluster, &mut ui, &args).await
        }
        Command::Plans(args) => {
            let (cluster, ui) = terminal.open(args.output).await?;
            plans::plans(&cluster, &ui, &args).await
        }
        Command::Approve(args) => {
            let (cluster, mut ui) = terminal.open(for_git(args.output, &args.sign)).await?;
            decide::approve(&cluster, &mut ui, &args).await
        }
        Command::Deny(args) => {
            let (cluster, mut ui) = terminal.open(for_git(args.output, &args.sign)).await?;
            decide::deny(&cluster, &mut ui, &args).await
        }
        Command::Review(args) => {
            let (cluster, mut ui) = terminal.open(for_git(args.output, &args.sign)).await?;
            decide::review(&cluster, &mut ui, &args).await
        }
        Command::Why(args) => {
            let (cluster, ui) = terminal.open(args.output).await?;
            why::why(&cluster, &ui, &args).await
        }
        Command::Cancel(args) => {
            let (cluster, ui) = terminal.open(args.output).await?;
            decide::cancel(&cluster, &ui, &args).await
        }
        Command::Explain(args) => {
            let (cluster, ui) = terminal.open(args.output).await?;
            explain::explain(&cluster, &ui, &args).await
        }
        Command::Audit(command) => audit::audit(&command, color),
        Command::Egress(command) => egress::egress(command, color),
        Command::Policy(command) => policy::policy(&command, color),
        Command::Redact(args) => redact::redact(&args),
        Command::Completions(args) => Ok(completions::completions(&args, program)),
        Command::Crds => crds(),
        Command::Manifests(args) => manifests(args),
        Command::Operator(args) => service::operator(args).await,
        Command::Interpreter(args) => service::interpreter(args).await,
        Command::Webhook(args) => service::webhook(args).await,
    }
}

/// A decision for Git is an object on stdout, and nothing else.
fn for_git(output: Output, sign: &SignArgs) -> Output {
    match output.output {
        Format::Table if sign.git => Output { output: Format::Yaml },
        Format::Table | Format::Json | Format::Yaml => output,
    }
}

/// How a person called the program.
struct Terminal<'a> {
    connect: &'a Connect,
    color: ColorChoice,
    program: Program,
}

impl Terminal<'_> {
    async fn open(&self, output: Output) -> Result<(Cluster, Ui), CliError> {
        service::start_diagnostics();
        let cluster = Cluster::connect(self.connect).await?;
        let ui = Ui::new(output.output, self.color, self.program, self.connect, &cluster);
        Ok((cluster, ui))
    }
}

/// `kubechat crds`.
fn crds() -> Result<Exit, CliError> {
    print_manifests(&install::Options::default(), |file| file == CRDS_FILE)
}

/// `kubechat manifests`: what `crds/manifests` holds, for this namespace and these groups, in the order to apply it.
fn manifests(args: ManifestsArgs) -> Result<Exit, CliError> {
    let ManifestsArgs {
        namespace,
        credentials_namespace: credentials,
        separate_interpreter,
        group,
    } = args;
    if credentials == namespace {
        return Err(CliError::Usage(format!(
            "the Secrets of AIProviders need a namespace of their own: whoever asks models reads all of it, and {namespace} holds the seal key. Nothing was printed. Name another one with --credentials-namespace"
        )));
    }
    let mut options = install::Options {
        namespace,
        credentials,
        separate_interpreter,
        ..install::Options::default()
    };
    if !group.is_empty() {
        options.groups = group;
    }
    print_manifests(&options, |_| true)
}

fn print_manifests(options: &install::Options, wanted: impl Fn(&str) -> bool) -> Result<Exit, CliError> {
    let all = install::manifests(options)
        .map_err(|error| CliError::Other(format!("cannot write the manifests: {error}")))?;
    ui::print(
        &all.into_iter()
            .filter(|(file, _)| wanted(file))
            .map(|(_, text)| text)
            .collect::<String>(),
    );
    Ok(Exit::Done)
}
