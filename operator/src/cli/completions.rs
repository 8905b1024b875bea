//! `kubechat completions`: a script for the shell, for the name the program was called by.

use clap_complete::generate;

use super::exit::Exit;
use super::ui;
use crate::args::{Cli, CompletionsArgs, Program};

/// `kubechat completions`.
pub(crate) fn completions(args: &CompletionsArgs, program: Program) -> Exit {
    ui::print(&script(args, program));
    Exit::Done
}

fn script(args: &CompletionsArgs, program: Program) -> String {
    let mut script = Vec::new();
    generate(
        args.shell,
        &mut Cli::command_for(program),
        program.file_name(),
        &mut script,
    );
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Shell;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            for program in [Program::Kubechat, Program::KubectlPlugin] {
                let script = script(&CompletionsArgs { shell }, program);
                assert!(
                    script.contains("rollback") && script.contains(program.file_name()),
                    "{shell}"
                );
            }
        }
    }
}
