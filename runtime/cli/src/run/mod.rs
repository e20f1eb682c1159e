//! Commands about runs.

pub mod cancel;
pub mod info;
pub mod list;
pub mod logs;
pub mod retry;
pub mod start;

use crate::client::{Client, encoded};
use crate::printer::Printer;

use crate::error::CliError;
use crate::wire::Run;

/// The error that a run's end is to the command that waited for it; none where it succeeded.
pub fn ended(run: &Run) -> Result<(), CliError> {
    let Some(failure) = &run.failure else {
        return match run.state.as_str() {
            "cancelled" => Err(CliError::failed(format!("run {} was cancelled", run.id))),
            _ => Ok(()),
        };
    };
    let code = tidemill_core::Code::parse(&failure.code);
    Err(CliError::Failed {
        code: code.map(|code| code.as_str().to_owned()),
        message: format!("run {} {}: {}: {}", run.id, run.state, failure.code, crate::printer::clean(&failure.message)),
        fix: failure.fix.clone().or_else(|| code.map(|code| code.fix().to_owned())),
    })
}

/// Does `verb` to each run by itself, so that one that refuses does not keep the others from it; the last refusal is the answer,
/// those before it are shown.
async fn each(ids: &[String], verb: &str, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut last = Ok(());
    for id in ids {
        match client.post(&format!("/v1/runs/{}/{verb}", encoded(id))).await {
            Ok(answer) => {
                let run: Run = serde_json::from_value(answer).unwrap_or_default();
                printer.record(&run, &format!("{id} {}", run.state));
            }
            Err(error @ CliError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                if let Err(earlier) = std::mem::replace(&mut last, Err(error)) {
                    printer.error(&earlier);
                }
            }
        }
    }
    last
}
