//! Runs: requests, records, trees and transactions.

pub(crate) mod admission;
pub(crate) mod children;
pub(crate) mod commit;
pub(crate) mod failures;
pub(crate) mod inbox;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod keys;
mod list;
pub(crate) mod logs;
pub(crate) mod parked;
pub(crate) mod record;
mod request;
mod signals;
mod transactions;
pub(crate) mod transition;
pub(crate) mod tree;

pub(crate) use keys::{KeyLookup, RunKeyRecord, look_up_key};
pub(crate) use logs::put_logs;
pub(crate) use record::{input, output, run, run_in_key};
pub(crate) use request::{insert, request, request_in_turn, start_children};
pub(crate) use signals::send;
