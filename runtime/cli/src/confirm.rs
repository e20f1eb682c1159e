//! Requests confirmation before a command deletes something or acts on many items. Does not decide
//! what is affected: each command shows that.

use std::io::{BufRead, IsTerminal as _};

use crate::error::CliError;
use crate::printer::Printer;

/// Confirmation flags of commands that delete something or act on many items.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct ConfirmArgs {
    /// Do not ask for confirmation on a terminal
    #[arg(long, short)]
    pub yes: bool,

    /// Show what would be affected, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl ConfirmArgs {
    /// Whether the command requests confirmation: stdin is a terminal, and `--yes` is not set.
    pub fn is_interactive(self) -> bool {
        !self.yes && !self.dry_run && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Requests an answer to `question` if a person is at the terminal.
    ///
    /// # Errors
    /// If the answer is not yes.
    pub fn ask(self, question: &str, printer: &Printer) -> Result<(), CliError> {
        if !self.is_interactive() {
            return Ok(());
        }
        printer.prompt(&format!("{question} [y/N] "));
        if is_yes(std::io::stdin().lock()) { Ok(()) } else { Err(declined()) }
    }
}

/// Reads one line with a maximum length.
fn is_yes(input: impl BufRead) -> bool {
    let mut line = String::new();
    let read = std::io::Read::take(input, 16).read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn declined() -> CliError {
    CliError::failed("not confirmed; nothing was changed").with_fix("answer `y`, or write --yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Y", "yes\n", " YES \n"] {
            assert!(is_yes(yes.as_bytes()), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yess\n", "yes please, do delete it\n", "\u{fffd}"] {
            assert!(!is_yes(no.as_bytes()), "{no:?}");
        }
    }

    #[test]
    fn yes_and_a_dry_run_are_not_interactive() {
        assert!(!ConfirmArgs { yes: true, dry_run: false }.is_interactive());
        assert!(!ConfirmArgs { yes: false, dry_run: true }.is_interactive());
    }
}
