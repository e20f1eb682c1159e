//! Accounts for a guest's fuel: adds to wasmtime's counter the cost of host work, the debt of WASI
//! calls and the grace period of a cancellation.
//!
//! A function of `tidemill:guest` pays when it is called (`crate::host`). A WASI function cannot
//! reach the store, so its cost becomes a debt. The debt is paid at the next call of
//! `tidemill:guest`, or when the guest returns: before any effect is visible to others. A guest
//! that calls only WASI is stopped at the tick that finds its debt larger than its fuel.
//!
//! # Example
//! The limit is 1,000. The run used 300 up to its last entry, and was suspended.
//!
//! 1. To replay, the guest gets a budget of 10 limits (10,000). `Fuel::used` is 0, whatever the
//!    replay consumes.
//! 2. The replay ends: `replayed(300, 700)` sets `before` = 300, and `budget`, `seen` and `pending`
//!    = 700. Wasmtime still holds the counter of the replay.
//! 3. The next call costs 20. `charge` takes `pending` instead of wasmtime's counter and sets the
//!    counter to 680. `Fuel::used` is 20 and `Fuel::generation` is 320.
//! 4. At a generation of 900 (used 600, left 100) the guest is notified. Its grace is limit / 10 =
//!    100, so `charge_result` sets the counter to 100 and `budget` to 600 + 100. The fuel used
//!    stays 600.
//!
//! # Invariants
//! - used = `budget` - (left - debt). It never decreases, and `generation` = `before` + used.
//! - A replay is bounded, but counts for nothing.
//! - `pending` is set only between the end of the replay and the next access to the store.
//! - Fuel never goes below zero: a charge that exceeds it sets the counter to 0 and traps.

pub(crate) mod account;
pub(crate) mod charge;
