//! Tests of the whole system: the real binary, real components, HTTP, signals and `kill -9`.
//!
//! Each file has one topic. A test observes the host through its API, its log and its files only,
//! and uses no crate of it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests panic and use the clock of the machine")]

mod alerts;
mod breaker;
mod budgets;
mod canary;
mod counting;
mod damage;
mod examples;
mod flight;
mod folders;
mod full;
mod golden;
mod healing;
mod health;
#[allow(dead_code, reason = "shared with other tests")]
mod host;
mod ledger;
mod limits;
mod schedules;
mod secrets;
mod shutdown;
mod spans;
