//! Structured log lines that the host stores with the run. Write them with
//! [`trace!`](crate::trace), [`debug!`](crate::debug), [`info!`](crate::info),
//! [`warn!`](crate::warn) and [`error!`](crate::error). A line holds up to 64 KiB; the host cuts
//! the rest.

use crate::host::log as host;
use crate::host::types::Field;

/// The severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every detail.
    Trace,
    /// Details for debugging.
    Debug,
    /// Normal events.
    Info,
    /// Problems that the module handled.
    Warn,
    /// Failures.
    Error,
}

/// Writes one line with named fields. The macros are shorter.
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

/// Logs a detail. The syntax is that of [`info!`](crate::info).
#[macro_export]
macro_rules! trace { ($($line:tt)+) => { $crate::__log!(Trace, $($line)+) }; }

/// Logs a detail for debugging. The syntax is that of [`info!`](crate::info).
#[macro_export]
macro_rules! debug { ($($line:tt)+) => { $crate::__log!(Debug, $($line)+) }; }

/// Logs a normal event: a format string as in `format!`, then, after a semicolon, named fields.
///
/// ```no_run
/// let (url, status) = ("https://example.org/", 200);
/// tidemill_sdk::info!("checked {url}"; status = status, took_ms = 12);
/// ```
#[macro_export]
macro_rules! info { ($($line:tt)+) => { $crate::__log!(Info, $($line)+) }; }

/// Logs a problem that the module handled. The syntax is that of [`info!`](crate::info).
#[macro_export]
macro_rules! warn { ($($line:tt)+) => { $crate::__log!(Warn, $($line)+) }; }

/// Logs a failure. The syntax is that of [`info!`](crate::info).
#[macro_export]
macro_rules! error { ($($line:tt)+) => { $crate::__log!(Error, $($line)+) }; }
