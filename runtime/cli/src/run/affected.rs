//! The runs that an action on many would affect: shown before the confirmation, or as a dry run.

use tidemill_api_types::Run;
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, Row as _};
use crate::query::Query;

/// Maximum count of runs.
const COUNTED: usize = 1_000;
/// Maximum number of runs shown before a question.
const SHOWN: usize = 10;

/// The runs that an action matches, newest first.
#[derive(Debug)]
pub struct AffectedRuns {
    runs: Vec<Record<Run<'static>>>,
}

impl AffectedRuns {
    /// Reads the runs with the query of a list.
    ///
    /// # Errors
    /// An error of the host.
    pub async fn find(query: &Query, client: &Client) -> Result<Self, CliError> {
        Ok(Self { runs: client.list(&query.of_path("/v1/runs"), COUNTED + 1).await? })
    }

    fn count(&self) -> String {
        counted(self.runs.len())
    }

    /// Shows the runs as the result of a dry run.
    pub fn show(&self, verb: &str, printer: &Printer) {
        printer.rows(&self.runs[..self.runs.len().min(COUNTED)], "no run matches");
        printer.note(&format!("{} would be {}; nothing was changed", self.count(), past(verb)));
    }

    /// Shows the first [`SHOWN`] runs, and requests confirmation. Returns false if no run matches.
    ///
    /// # Errors
    /// If the answer is not yes.
    pub fn confirm(&self, verb: &str, confirm: ConfirmArgs, printer: &Printer) -> Result<bool, CliError> {
        if self.runs.is_empty() {
            printer.note("no run matches");
            return Ok(false);
        }
        for run in self.runs.iter().take(SHOWN) {
            let cells = run.cells();
            let line: Vec<_> = [0, 1, 2, 4, 8].iter().filter_map(|at| cells.get(*at)).map(String::as_str).collect();
            printer.note(line.join("  ").trim_end());
        }
        if self.runs.len() > SHOWN {
            printer.note("…");
        }
        let mut question = format!("{verb} {}?", self.count());
        if let Some(first) = question.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        confirm.ask(&question, printer)?;
        Ok(true)
    }
}

fn counted(runs: usize) -> String {
    let count = runs.min(COUNTED);
    let least = if runs > COUNTED { "more than " } else { "" };
    format!("{least}{} {}", grouped(count as u64), if count == 1 { "run" } else { "runs" })
}

fn past(verb: &str) -> String {
    match verb {
        "retry" => "retried".to_owned(),
        "cancel" => "cancelled".to_owned(),
        verb => format!("{verb}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_up_to_a_bound() {
        assert_eq!(counted(1), "1 run");
        assert_eq!(counted(1_000), "1,000 runs");
        assert_eq!(counted(1_001), "more than 1,000 runs");
        assert_eq!((past("terminate"), past("retry")), ("terminated".to_owned(), "retried".to_owned()));
    }

    #[test]
    fn an_empty_set_of_runs_needs_no_confirmation() {
        let printer = Printer::new(false, true);
        assert!(!AffectedRuns { runs: Vec::new() }.confirm("cancel", ConfirmArgs::default(), &printer).unwrap());
    }
}
