//! Crash safety: the outcome does not depend on when, or how often, the host process dies.
//!
//! `matrix` ends the process at named failpoints (see `tidemill_core::failpoint`), one after
//! another, and compares the outcome with that of an undisturbed workload. `kills` ends it at
//! random times while many runs are active, and `healing` at the failpoints of a repair. A seed
//! determines every random choice. `TIDEMILL_CRASH_SEED=N` repeats one seed, and
//! `TIDEMILL_CRASH_SEEDS=N` runs N seeds, as `make crash` does.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests panic, use the clock of the machine and print their seed"
)]

mod crashable_host;
mod facts;
mod healing;
mod hooks;
#[path = "../system/host.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod host;
mod kills;
mod matrix;
mod provider;
mod workload;
