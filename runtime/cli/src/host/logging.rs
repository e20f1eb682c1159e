//! The host's log: to stderr, for people or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::error::CliError;

/// Begins to log what `filter` says.
///
/// # Errors
/// Where it is no filter.
pub fn start(filter: &str, json: bool) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(filter).map_err(|why| {
        CliError::usage(
            format!("`{filter}` is not a filter of the log: {why}"),
            "write a level, such as info, or tidemill_engine=debug,info",
        )
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // An error says that a log was begun before, which is as good.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    Ok(())
}
