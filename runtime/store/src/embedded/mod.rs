//! The embedded [`Store`]: implements the contract in one folder that belongs to one process.
//!
//! Each noun has a file with its operations as plain functions over [`read_tx::ReadTx`] or
//! [`write_tx::WriteTx`]; `store.rs` only passes them to the committer. Every operation is decided
//! inside the committer on the newest state, so a condition still holds when its effect is written.

mod blobs;
mod codec;
mod deployments;
mod epoch;
mod feed;
#[cfg(test)]
mod fixture;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod golden;
#[cfg(feature = "testing")]
mod inspection;
mod ledger;
mod modules;
mod node;
mod operations;
mod retention;
mod runs;
mod schedules;
mod state;
mod store;
mod tables;
mod throttle;
mod topics;
mod tx;
mod usage;
mod value;

pub use store::EmbeddedStore;
