//! The command line as its users meet it: exit code, stdout and stderr of the real program.

#![allow(clippy::unwrap_used, reason = "tests")]

mod durable;
mod events;
mod host;
mod limits;
mod offline;
mod program;
mod reference;
mod steps;
