//! The embedded store's lower half, tested through `Kv`, with crashes and damage.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod ahead;
mod basics;
mod crash;
mod damage;
mod disk;
mod exhausted;
mod faults;
mod kill;
mod model;
mod rewrite;
mod support;
