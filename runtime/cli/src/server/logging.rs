//! Sets up the host's log on stderr: text for people, or JSON. In JSON mode every line is JSON,
//! including panics and errors before the log starts.

use std::io::IsTerminal as _;

use serde_json::json;
use tidemill_core::clock::{Clock as _, SystemClock};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::error::CliError;
use crate::printer::Printer;

/// Starts the log with `filter`. In JSON mode, messages of commands and panics go to the log too.
///
/// # Errors
/// If `filter` is not a valid filter.
pub fn start(filter: &str, json: bool, printer: &Printer) -> Result<(), CliError> {
    // Each span and event is accepted or refused once, at its first use. `EnvFilter`, which can
    // also filter by the fields of a span, takes a lock whenever a span is entered or left.
    let log = tracing_subscriber::registry().with(parse_filter(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // An error means that a log was started before, which is fine.
    let _ = if json {
        printer.log_as_json();
        log_panics();
        // The list of spans includes the current one.
        log.with(lines.json().flatten_event(true).with_current_span(false)).try_init()
    } else {
        log.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()
    };
    Ok(())
}

/// Parses a level, or levels by crate: `tidemill_engine=debug,info`.
fn parse_filter(filter: &str) -> Result<Targets, CliError> {
    let invalid = |why: String| {
        CliError::usage(
            format!("`{filter}` is not a filter of the log: {why}"),
            "write a level, such as info, or levels by crate, such as tidemill_engine=debug,info",
        )
    };
    if let Some(part) = filter.split(',').find(|part| part.contains(['[', '{'])) {
        return Err(invalid(format!("`{part}` selects spans, and only crates can be selected")));
    }
    // The parser of `Targets` takes an empty crate for every crate, and an empty level for `error`.
    if filter.split(',').any(|part| part.split('=').any(|word| word.trim().is_empty())) {
        return Err(invalid("a crate or a level is missing".to_owned()));
    }
    filter.parse().map_err(|why: tracing_subscriber::filter::ParseError| invalid(why.to_string()))
}

/// Writes panics as log lines, whatever the filter is.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let fields = json!({ "message": "panicked", "panic": text, "place": place, "thread": thread });
        Printer::json_line("ERROR", fields);
    }));
}

/// Returns whether the command line or the environment selects a JSON log. For errors before
/// settings are read.
pub fn wants_json(args: &[std::ffi::OsString], environment: &dyn Fn(&str) -> Option<String>) -> bool {
    let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    if !words.iter().any(|word| matches!(&**word, "serve" | "dev" | "demo")) {
        return false;
    }
    let flag = words.iter().enumerate().rev().find_map(|(at, word)| {
        let value = word.strip_prefix("--log-format")?;
        value.strip_prefix('=').map(str::to_owned).or_else(|| words.get(at + 1).map(ToString::to_string))
    });
    flag.or_else(|| environment("TIDEMILL_LOG_FORMAT")).is_some_and(|format| format == "json")
}

/// Returns the current time in the format of log lines.
pub fn timestamp() -> String {
    SystemClock.now().to_rfc3339()
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_crate() {
        let filter = parse_filter("tidemill_engine=debug,info").unwrap();
        assert!(filter.would_enable("tidemill_engine::egress", &Level::DEBUG));
        assert!(!filter.would_enable("tidemill_store", &Level::DEBUG));
        assert!(filter.would_enable("tidemill_store", &Level::INFO));
        assert!(!parse_filter("off").unwrap().would_enable("tidemill_store", &Level::ERROR));
        for invalid in [
            "",
            "=,=",
            "info,",
            "=info",
            "tidemill_engine=",
            "tidemill_engine=loud",
            "[run{run=last}]=debug",
            "info,x[run]=trace",
        ] {
            assert!(parse_filter(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn the_log_format_is_known_before_the_settings() {
        let wants = |words: &[&str], format: Option<&str>| {
            let words: Vec<_> = words.iter().map(Into::into).collect();
            wants_json(&words, &|name| format.filter(|_| name == "TIDEMILL_LOG_FORMAT").map(str::to_owned))
        };
        assert!(wants(&["serve", "--log-format", "json"], None));
        assert!(wants(&["serve", "--log-format=json", "--addr", "x"], None));
        assert!(wants(&["-q", "dev"], Some("json")));
        assert!(!wants(&["serve", "--log-format=text"], Some("json")));
        assert!(
            !wants(&["runs"], Some("json")) && !wants(&["serve"], None) && !wants(&["serve", "--log-format"], None)
        );
    }
}
