//! Write Tidemill modules as plain Rust functions.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use tidemill_sdk::{info, state};
//!
//! #[derive(Deserialize)]
//! struct Input {
//!     name: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Greeting {
//!     text: String,
//!     times: u64,
//! }
//!
//! #[tidemill_sdk::workflow]
//! fn hello(input: Input) -> tidemill_sdk::Result<Greeting> {
//!     let times = state::get_or_default::<u64>(&input.name)? + 1;
//!     state::set(&input.name, &times)?;
//!     info!("greeting {}", input.name; times = times);
//!     Ok(Greeting { text: format!("Hello, {}!", input.name), times })
//! }
//! # fn main() {}
//! ```
//!
//! An attribute exports a function: [`workflow`](macro@workflow),
//! [`revenue_stream`](macro@revenue_stream), [`webhook`](macro@webhook) or
//! [`health`](macro@health). A component has at most one of each, in any combination.
//! `cargo build --release --target wasm32-wasip2` builds the component.
//!
//! The modules below are the functions of the host. In a native test with the feature `testing`,
//! the test harness of the module `testing` implements them.
#![deny(unsafe_code)]

/// The generated code of the macros refers to this crate by this name.
#[cfg(test)]
extern crate self as tidemill_sdk;

pub use clock::{now, sleep, sleep_until};
pub use durable::{join_all, saga, select, signal, spawn, step, step_with};
pub use error::{Context, Error, Result};
pub use money::{Money, Remainder};
pub use random::random;
pub use retry::Retry;
pub use schema::Schema;
pub use status::Status;
pub use stream::{Collection, Period};
pub use tidemill_sdk_macros::{Schema, health, revenue_stream, webhook, workflow};
pub use time::Timestamp;
pub use webhook::{Delivery, Reply};

pub mod clock;
pub mod collections;
pub mod context;
pub mod durable;
pub mod events;
pub mod http;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod operator;
pub mod random;
pub mod secrets;
pub mod state;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod testing;
pub mod webhook;

mod abi;
mod error;
mod money;
mod retry;
#[doc(hidden)]
pub mod schema;
mod status;
mod stream;
mod time;

#[doc(hidden)]
pub use abi::{bindings, export};
use abi::{host, json};

/// The snippets of the book are tests of this crate.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../../docs/src/sdk-rust.md")]
#[doc = include_str!("../../../docs/src/durable-execution.md")]
#[doc = include_str!("../../../docs/src/tutorial.md")]
struct Book;
