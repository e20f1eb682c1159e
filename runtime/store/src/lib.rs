//! What Tidemill keeps: the contract that every store fulfils, and the embedded store.
//!
//! [`Store`] speaks the domain's words (request a run, claim it, commit a stretch, fire a schedule), so that a
//! store is free in how it lays things out. The embedded one is a commit log ahead of sled.

#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
pub mod embedded;
pub mod error;
pub mod kv;
pub mod records;

pub use contract::Store;
pub use embedded::EmbeddedStore;
pub use error::StoreError;
