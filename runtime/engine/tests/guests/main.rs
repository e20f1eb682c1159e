//! What guests can and cannot do, through real components.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod basics;
mod bounds;
mod cancellation;
mod debug;
mod durable;
mod egress;
mod golden;
mod harness;
mod health;
mod https;
mod integrity;
mod ledger;
mod operator;
mod output;
mod providers;
mod retries;
mod secrets;
mod server;
mod support;
mod uploads;
