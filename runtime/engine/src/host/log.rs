//! `tidemill:guest/log`: structured lines, kept with the run. A line is cut at 64 KiB, and beyond the run's own bound lines are
//! counted and dropped; neither fails the guest.

use tidemill_store::records::LogLevel;

use super::call::{Contract, Interface};
use crate::bindings::wit::log::Level;
use crate::bindings::wit::types::Field;
use crate::guest::Guest;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "log")?.tell("write", write)
}

fn write(guest: &mut Guest, (level, message, fields): (Level, String, Vec<Field>)) -> wasmtime::Result<()> {
    let level = match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    let fields = fields.into_iter().map(|field| (field.name, field.value)).collect();
    guest.log.write(level, message, fields);
    Ok(())
}
