//! The whole system, from outside: the real binary, real components, HTTP, signals and `kill -9`.
//!
//! A file a topic. Nothing here reaches into a crate of the host; what a test needs to know, it asks the API.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail loudly and measure by the machine's clock"
)]

mod counting;
mod damage;
mod examples;
mod flight;
mod folders;
mod full;
mod golden;
#[allow(dead_code, reason = "shared with other tests")]
mod host;
mod ledger;
mod limits;
mod schedules;
mod shutdown;
