//! Tests of the real program: exit code, stdout and stderr.

#![allow(clippy::unwrap_used, reason = "tests")]

mod alerts;
mod durable;
mod events;
mod host;
mod limits;
mod offline;
mod program;
mod reference;
mod secrets;
mod steps;
