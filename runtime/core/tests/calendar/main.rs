//! Schedules held against an independent model of the calendar, and the documentation's examples against schedules.
#![allow(clippy::unwrap_used, reason = "tests")]

mod examples;
mod expressions;
mod laws;
mod model;
mod zones;
