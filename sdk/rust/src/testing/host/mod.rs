//! The functions of the contract, by interface, with the signatures of `wit-bindgen`: the SDK calls
//! them in place of a host when a module runs natively in a test. Each uses the journal first and
//! does only what a module can distinguish from a host.

pub(crate) use plain::{context, events, log, metrics, random, secrets};

pub(crate) mod clock;
pub(crate) mod durable;
pub(crate) mod http;
pub(crate) mod ledger;
mod plain;
pub(crate) mod state;

pub(crate) use crate::bindings::imports::tidemill::guest::types;

use super::run::Fake;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The run that this thread executes, on top of the runs that wait for it.
    static RUNS: RefCell<Vec<Rc<Fake>>> = const { RefCell::new(Vec::new()) };
}

/// Directs the host calls of this thread to a run until it is dropped.
pub(super) struct Current;

impl Current {
    pub(super) fn of(fake: Rc<Fake>) -> Self {
        RUNS.with_borrow_mut(|runs| runs.push(fake));
        Self
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        RUNS.with_borrow_mut(Vec::pop);
    }
}

/// Returns the current run.
#[allow(clippy::panic, reason = "a test without a harness cannot continue")]
fn current() -> Rc<Fake> {
    match RUNS.with_borrow(|runs| runs.last().cloned()) {
        Some(fake) => fake,
        None => panic!("a host call outside a component: run it with `tidemill_sdk::testing::Harness`"),
    }
}

/// Bytes in a journal: as text if they are UTF-8.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    Text(String),
    Raw(Vec<u8>),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Raw(error.into_bytes()), Self::Text)
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        match bytes {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Raw(bytes) => bytes,
        }
    }
}

/// Formats bytes in the text of a request.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
