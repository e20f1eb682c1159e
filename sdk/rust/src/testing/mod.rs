//! Tests of modules without a server. A module's function runs natively on a simulated host, with a
//! clock that jumps over waits, an outside world of plain functions, and crashes at any point. It
//! needs the feature `testing`, which is not for components:
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
//! // The same with a crash after each entry of its journal in turn. One mail is sent.
//! harness.crash_everywhere(remind, "Ada");
//! assert_eq!(run.effects().len(), 1);
//! ```
//!
//! The harness behaves like a host, as far as a module can observe it. Steps are identified by
//! their path, skipped when completed, and retried by their policy. Writes of a failed attempt are
//! dropped. Effects inside a step wait for the end of the outermost step. A transaction is
//! committed at a request other than `GET` or `HEAD`, at a wait and at the end. A retry keeps what
//! a host keeps. A request has the same `Idempotency-Key` in every attempt. A child is executed to
//! its end when its parent waits. An action on another deployment changes the
//! [`OperatedDeployment`] of that name at once.
//!
//! The harness refuses what a host limits by count or size, with the same codes: keys and values,
//! bodies, names, payloads, labels, log lines, outputs, the objects of one transaction, and the
//! fields of [`Limits`]. **Grants and limits of the deployment apply only if a test sets them**:
//! with [`Harness::manifest`], which reads the project's `tidemill.toml`, or with
//! [`Harness::grants`] and [`Harness::limits`]. By default everything is granted.
//!
//! Not simulated: fuel, memory and active time, which only a sandbox can count; the size of the
//! journal; the operator's egress policy; other runs that write at the same time; and the values of
//! secrets.
//!
//! In a native test, `std::time` and std's random maps are those of the machine. Use
//! [`clock`](crate::clock), [`random`](mod@crate::random) and [`collections`](crate::collections).

pub use grants::Grants;
pub use harness::Harness;
pub use journal::{Mismatch, Recording};
pub use ledger::LedgerEntry;
pub use limits::Limits;
pub use run_result::{End, RunResult};
pub use web::{Answer, SentRequest};
pub use world::{Line, MetricSample, OperatedDeployment, OperatorCall, PublishedEvent, SentSignal, StartedRun};

mod checks;
mod crashes;
mod credit;
mod current;
mod drive;
mod failure;
mod grants;
mod harness;
pub(crate) mod host;
mod journal;
mod layer;
mod ledger;
mod limits;
mod manifest;
mod run;
mod run_result;
mod setup;
mod wait;
mod web;
mod world;

#[cfg(test)]
mod tests;
