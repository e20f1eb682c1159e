//! The world of `tidemill demo`: input that it serves, modules that work on it, and what they must
//! have done. It calls no host: its caller reads the results and passes them in.

#![forbid(unsafe_code)]

mod expect;
mod feed;
mod modules;
mod prepaid;
mod verify;

pub use expect::Prices;
pub use feed::{DemoWorld, serve};
pub use modules::{DemoModule, modules};
pub use prepaid::{PrepaidEvidence, grant_by_hand, prepaid, top_up};
pub use verify::{CheckResult, LedgerEvidence, UptimeEvidence, hello, ledger, uptime};
