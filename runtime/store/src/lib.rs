//! The contract of every store, and the embedded store that fulfils it.
//!
//! The operations of [`Store`] use the terms of the domain (request a run, claim it, commit its
//! transaction, fire a schedule), so each store chooses its own layout. The embedded store is a
//! commit log in front of sled.

#![forbid(unsafe_code)]

pub mod disk;
pub mod embedded;
pub mod error;
pub mod kv;
pub mod records;
pub mod traits;

pub use embedded::EmbeddedStore;
pub use error::StoreError;
pub use traits::Store;
