//! The binary `kubechat`, also installed as `kubectl-kubechat`. Wires, decides nothing.

use std::process::ExitCode;

use kubechat_operator::args::{self, Cli};
use kubechat_operator::cli;

fn main() -> ExitCode {
    // Fails only when a provider is installed already, and then TLS works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let program = args::Program::of(std::env::args_os().next().as_deref());
    let arguments = match Cli::read(program, std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(help_or_problem) => {
            // Nobody is left to tell when even this cannot be printed.
            let _ = help_or_problem.print();
            return ExitCode::from(
                u8::try_from(help_or_problem.exit_code()).unwrap_or(cli::Exit::Usage.code()),
            );
        }
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(arguments, program)).into(),
        Err(problem) => {
            eprintln!("error: cannot start: {problem}");
            cli::Exit::Error.into()
        }
    }
}
