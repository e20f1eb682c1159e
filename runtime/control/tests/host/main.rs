//! Tests of the host over the embedded store, with scripted guests and a manual clock. No test
//! sleeps: each waits for a commit or for a guest.

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
mod epochs;
mod events;
mod explain;
mod firings;
mod flow;
mod guests;
mod jitter;
mod operations;
mod queue;
mod quotas;
mod rollback;
mod schedules;
mod scrubbing;
mod state;
mod streams;
mod transactions;
mod tree;
mod waits;
mod world;
mod zones;
