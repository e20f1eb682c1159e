//! `tidemill completions SHELL`: prints a shell's completion script.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::printer::Printer;

/// Arguments of `tidemill completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example: tidemill completions bash > ~/.local/share/bash-completion/completions/tidemill")]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs the command.
pub fn run(args: &CompletionsArgs, printer: &Printer) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidemill", &mut script);
    printer.bytes(&script);
}
