//! `tidemill explain CODE`: shows the page of an error code, without a host.

use serde_json::json;
use tidemill_core::Code;
use tidemill_core::codes::{SDK_CODES, SdkCode};

use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// An error code, with or without `host/`. Without an argument, all codes are listed
    code: Option<String>,
}

/// Runs the command.
pub fn run(args: &ExplainArgs, printer: &Printer) -> Result<(), CliError> {
    match &args.code {
        None => {
            all(printer);
            Ok(())
        }
        Some(code) => one(code, printer),
    }
}

fn all(printer: &Printer) {
    if printer.is_json() {
        printer.value(&Code::ALL.iter().map(|code| record(*code)).collect::<Vec<_>>());
    } else {
        Code::ALL.iter().for_each(|code| printer.line(&format!("{:32} {}", code.as_str(), code.title())));
        SDK_CODES.iter().for_each(|code| printer.line(&format!("{:32} {}", code.name, code.title)));
    }
}

fn one(text: &str, printer: &Printer) -> Result<(), CliError> {
    let full = if text.starts_with("host/") { text.to_owned() } else { format!("host/{text}") };
    if let Some(code) = Code::parse(&full) {
        printer.record(&record(code), code.page().trim_end());
        return Ok(());
    }
    if let Some(code) = SdkCode::parse(text) {
        let record = json!({ "code": code.name, "title": code.title, "page": code.page });
        printer.record(&record, code.page.trim_end());
        return Ok(());
    }
    let near = SdkCode::nearest(text).map(|code| code.name).or_else(|| Code::nearest(text).map(Code::as_str));
    Err(CliError::usage(
        format!("`{}` is not one of the host's codes", clean(text)),
        near.map_or_else(
            || {
                "`tidemill explain` lists them, any other code without `host/` is the module's own, and \
                 `tidemill runs explain` explains a run"
                    .to_owned()
            },
            |code| format!("did you mean `tidemill explain {code}`?"),
        ),
    ))
}

fn record(code: Code) -> serde_json::Value {
    json!({
        "code": code.as_str(), "title": code.title(), "fix": code.fix(), "status": code.status(),
        "retryable": code.is_retryable(), "page": code.page(),
    })
}
