//! `tidemill completions SHELL`: writes what a shell needs to complete these commands.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::printer::Printer;

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example: tidemill completions bash > ~/.local/share/bash-completion/completions/tidemill")]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Carries it out.
pub fn run(args: &Args, printer: &Printer) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidemill", &mut script);
    printer.bytes(&script);
}
