//! The embedded [`Store`](crate::Store): implements the contract in one folder that belongs to one
//! process.
//!
//! Each noun has a file or a folder that implements its trait with functions over `ReadTx` or
//! `WriteTx`. Nouns know no other way to the key-value layer; `store.rs` makes the transactions.
//! Every operation is decided inside the committer on the newest state, so a condition still holds
//! when its effect is written.

mod alerts;
mod blobs;
mod budgets;
mod codec;
mod deliveries;
mod deployments;
mod epoch;
mod feed;
#[cfg(test)]
mod fixture;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod health;
mod incidents;
#[cfg(feature = "testing")]
mod inspection;
mod ledger;
mod modules;
mod node;
mod operations;
mod retention;
mod runs;
mod schedules;
mod secrets;
mod state;
mod store;
mod tables;
mod throttle;
mod topics;
mod tx;
mod usage;
mod value;

pub use store::EmbeddedStore;
