//! Tests of the host over the embedded store, with scripted guests and a manual clock. No test
//! sleeps: each waits for a commit or for a guest.

#![allow(clippy::unwrap_used, reason = "tests")]

mod deployments;
mod events;
mod fixture;
mod node;
mod runs;
mod schedules;
