//! A host over the embedded store, with scripted guests and a clock that is turned by hand.
//!
//! Nothing here sleeps for luck: a test waits for a commit, for a guest, or not at all.

#![allow(clippy::unwrap_used, reason = "tests")]

mod backfills;
mod blocked;
mod calls;
mod cancelling;
mod clock;
mod concurrency;
mod deployments;
mod disk;
mod downtime;
mod durable;
mod ends;
mod events;
mod explain;
mod firings;
mod flow;
mod guests;
mod jitter;
mod lives;
mod operations;
mod queue;
mod quotas;
mod rollback;
mod schedules;
mod scrubbing;
mod state;
mod streams;
mod stretches;
mod tree;
mod waits;
mod world;
mod zones;
