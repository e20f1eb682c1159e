//! `tidemill explain CODE`: shows the page of an error code. Needs no host.

use serde_json::json;
use tidemill_core::Code;

use crate::error::CliError;
use crate::printer::Printer;

/// Which code.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code, with or without `host/`; all codes are listed where none is given
    code: Option<String>,
}

/// Carries it out.
pub fn run(args: &Args, printer: &Printer) -> Result<(), CliError> {
    let Some(text) = &args.code else {
        if printer.is_json() {
            printer.value(&Code::ALL.iter().map(|code| record(*code)).collect::<Vec<_>>());
        } else {
            Code::ALL.iter().for_each(|code| printer.line(&format!("{:32} {}", code.as_str(), code.title())));
        }
        return Ok(());
    };
    let full = if text.starts_with("host/") { text.clone() } else { format!("host/{text}") };
    match Code::parse(&full) {
        Some(code) => {
            printer.record(&record(code), code.page().trim_end());
            Ok(())
        }
        None => Err(CliError::usage(
            format!("`{}` is not one of the host's codes", crate::printer::clean(text)),
            Code::nearest(text).map_or_else(
                || "`tidemill explain` lists them; a code without `host/` is the module's own".to_owned(),
                |code| format!("did you mean `tidemill explain {code}`?"),
            ),
        )),
    }
}

fn record(code: Code) -> serde_json::Value {
    json!({
        "code": code.as_str(), "title": code.title(), "fix": code.fix(), "status": code.status(),
        "retryable": code.is_retryable(), "page": code.page(),
    })
}
