//! Commands about runs.

pub mod cancel;
pub mod info;
pub mod list;
pub mod logs;
pub mod retry;
pub mod start;

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
