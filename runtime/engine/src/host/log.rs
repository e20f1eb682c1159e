//! `tidemill:guest/log`: structured lines, stored with the run. A line is cut at 64 KiB and 64
//! fields. Lines beyond the run's limit are counted and dropped. Neither fails the guest.

use tidemill_core::Code;
use tidemill_core::failure::is_host_code;
use tidemill_core::limits::LOG_FIELDS;
use tidemill_store::records::LogLevel;

use super::abi::{Contract, Interface};
use crate::component::bindings::wit::log::Level;
use crate::component::bindings::wit::types::Field;
use crate::guest::GuestState;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "log")?.tell("write", write)
}

fn write(guest: &mut GuestState, (level, message, fields): (Level, String, Vec<Field>)) -> wasmtime::Result<()> {
    let level = match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    let fields = fields.into_iter().take(LOG_FIELDS + 1).map(|field| own_field(guest, field)).collect();
    guest.log.write(level, message, fields);
    Ok(())
}

/// Renames a field that could be mistaken for one of the host's: those that begin with `tidemill.`,
/// and a `code` that begins with `host/`, unless a call has returned that code.
fn own_field(guest: &GuestState, Field { name, value }: Field) -> (String, String) {
    let answered = || Code::parse(&value).is_some_and(|code| guest.answered_codes.contains(&code));
    if name.starts_with("tidemill.") || (name == "code" && is_host_code(&value) && !answered()) {
        return (format!("guest.{name}"), value);
    }
    (name, value)
}
