//! Structured log lines, kept with the run. Write them with [`trace!`](crate::trace), [`debug!`](crate::debug),
//! [`info!`](crate::info), [`warn!`](crate::warn) and [`error!`](crate::error). A line holds up to 64 KiB; the rest is cut.

use crate::host::log as host;
use crate::host::types::Field;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every small thing.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// What happened.
    Info,
    /// What went wrong and was dealt with.
    Warn,
    /// What went wrong.
    Error,
}

/// Writes one line with named values beside it; the macros are shorter.
pub fn write(level: Level, message: &str, fields: &[(&str, String)]) {
    let level = match level {
        Level::Trace => host::Level::Trace,
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
    };
    let fields: Vec<Field> =
        fields.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: value.clone() }).collect();
    host::write(level, message, &fields);
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $format:literal $(, $argument:expr)* $(,)? $(; $($name:ident = $value:expr),* $(,)?)?) => {
        $crate::log::write(
            $crate::log::Level::$level,
            &::std::format!($format $(, $argument)*),
            &[$($((::std::stringify!($name), ::std::string::ToString::to_string(&$value))),*)?],
        )
    };
}

/// Logs every small thing; written as [`info!`](crate::info) is.
#[macro_export]
macro_rules! trace { ($($line:tt)+) => { $crate::__log!(Trace, $($line)+) }; }

/// Logs for whoever looks for a fault; written as [`info!`](crate::info) is.
#[macro_export]
macro_rules! debug { ($($line:tt)+) => { $crate::__log!(Debug, $($line)+) }; }

/// Logs what happened: a format string as in `format!`, then, after a semicolon, named values that are kept apart.
///
/// ```no_run
/// let (url, status) = ("https://example.org/", 200);
/// tidemill_sdk::info!("checked {url}"; status = status, took_ms = 12);
/// ```
#[macro_export]
macro_rules! info { ($($line:tt)+) => { $crate::__log!(Info, $($line)+) }; }

/// Logs what went wrong and was dealt with; written as [`info!`](crate::info) is.
#[macro_export]
macro_rules! warn { ($($line:tt)+) => { $crate::__log!(Warn, $($line)+) }; }

/// Logs what went wrong; written as [`info!`](crate::info) is.
#[macro_export]
macro_rules! error { ($($line:tt)+) => { $crate::__log!(Error, $($line)+) }; }
