//! The functions of the contract, by interface, with the signatures of `wit-bindgen`: the SDK calls
//! them in place of a host when a module runs natively in a test. Each uses the journal first and
//! does only what a module can distinguish from a host.

pub(crate) use plain::{context, events, log, metrics, random, secrets};

pub(crate) mod clock;
pub(crate) mod durable;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod operator;
mod plain;
pub(crate) mod state;

pub(crate) use crate::bindings::imports::tidemill::guest::types;

use super::current::current;

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
