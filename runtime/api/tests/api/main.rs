//! The whole API over a real host and a real store; only the guests are scripted (`world.rs`). One
//! module per noun. Each test checks the answer, and what was or was not changed.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod deployments;
mod docs;
mod durable;
mod events;
mod garbage;
mod health;
mod hooks;
mod keys;
mod ledger;
mod modules;
mod paypal;
mod refusals;
mod runs;
mod schedules;
mod secrets;
mod server;
mod state;
mod topics;
mod waiting;
mod world;
