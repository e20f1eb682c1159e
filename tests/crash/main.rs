//! What the host promises about its own death: whatever moment it dies at, everything comes out as if it had not.
//!
//! `matrix` ends the process at named gates (see `tidemill_core::gate`), one after another, and compares with a workload that nobody
//! disturbed. `kills` ends it at any time while many runs are in hand. A seed decides everything that is decided at all:
//! `TIDEMILL_CRASH_SEED=N` runs that one again, `TIDEMILL_CRASH_SEEDS=N` so many of them (`make crash`).
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail loudly, measure by the machine's clock and say which seed they are at"
)]

mod facts;
#[path = "../system/host.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod host;
mod kills;
mod matrix;
mod mortal;
mod provider;
mod workload;
