//! Tests of modules without a server: a module's function runs natively against a host that is not one, with a clock that jumps over waits, an
//! outside world made of plain functions, and crashes wherever one wants them. Only with the feature `testing`, and not in components:
//!
//! ```toml
//! [dev-dependencies]
//! tidemill-sdk = { path = "…", features = ["testing"] }
//! ```
//!
//! ```
//! use std::time::Duration;
//! use serde_json::json;
//! use tidemill_sdk::testing::{Answer, Harness};
//! use tidemill_sdk::{Result, http, sleep, state, step};
//!
//! fn remind(name: String) -> Result<u64> {
//!     sleep(Duration::from_secs(7 * 86_400))?;
//!     let sent: u64 = step("send", || -> Result<u64> {
//!         http::post("https://mail.example.com/send").json(&name).send()?.ok()?.json()
//!     })?;
//!     state::set("sent", &sent)?;
//!     Ok(sent)
//! }
//!
//! // An outside world that fails the first time.
//! let harness = Harness::new().http("POST", "https://mail.example.com/*", |sent| match sent.nth {
//!     1 => Answer::status(503),
//!     _ => Answer::json(&json!(1)),
//! });
//!
//! let run = harness.run(remind, "Ada");
//! assert_eq!(*run.succeeded(), 1);
//! assert_eq!(run.state::<u64>("sent"), Some(1));
//! assert!(run.elapsed() >= Duration::from_secs(7 * 86_400), "and the test took no time");
//!
//! // The same, with a crash behind each entry of its journal in turn: it ends alike, and one mail leaves.
//! harness.crash_everywhere(remind, "Ada");
//! assert_eq!(run.effects().len(), 1);
//! ```
//!
//! What holds on a real host holds here, as far as a module can see it: steps are known by their path, skipped when they are done and retried by their
//! policy; what a failed attempt wrote is dropped; effects inside a step wait for the end of the outermost one; a stretch takes hold at a request that is not
//! `GET` or `HEAD`, at a wait and at the end; a retry keeps what a host keeps; requests have the same `Idempotency-Key` in every attempt. A child runs when its
//! parent waits, to its end.
//!
//! What a host bounds by count or size is refused here too, with the same codes: keys and values, bodies, names, payloads, labels, log lines, outputs, what one
//! stretch may touch, and of `[limits]` what [`Limits`] has. **Grants and limits are those of the deployment where a test says them**: with
//! [`Harness::manifest`], which reads the project's `tidemill.toml`, or [`Harness::grants`] and [`Harness::limits`]. Where it does not, everything is granted.
//!
//! What is not here: fuel, memory and time, which only a sandbox counts; the journal's size; the operator's own egress policy; other runs that write at
//! the same time; and secrets' values.
//!
//! `std::time` and std's random maps are the machine's own in a native test: use [`clock`](crate::clock), [`random`](mod@crate::random) and
//! [`collections`](crate::collections).

pub use grants::Grants;
pub use harness::Harness;
pub use journal::{Mismatch, Recording};
pub use ledger::{Posted, Standing};
pub use limits::Limits;
pub use ran::{End, Ran};
pub use web::{Answer, Sent};
pub use world::{Line, Measured, Published, Signalled, Started};

mod crashes;
mod drive;
mod grants;
mod harness;
pub(crate) mod host;
mod journal;
mod layer;
mod ledger;
mod limits;
mod manifest;
mod origin;
mod ran;
mod run;
mod wait;
mod web;
mod world;

#[cfg(test)]
mod tests;
