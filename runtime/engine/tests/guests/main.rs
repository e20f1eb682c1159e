//! What guests can do and cannot, through real components.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod basics;
mod bounds;
mod cancellation;
mod durable;
mod egress;
mod health;
mod https;
mod ledger;
mod retries;
mod secrets;
mod server;
mod stage;
mod support;
mod uploads;
