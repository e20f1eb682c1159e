//! Compares schedules with an independent model of the calendar, and with the documentation's
//! examples.
#![allow(clippy::unwrap_used, reason = "tests")]

mod examples;
mod expressions;
mod laws;
mod model;
mod zones;
