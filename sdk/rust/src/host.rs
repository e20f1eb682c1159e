//! Who answers the contract's imports: the host, through what `wit-bindgen` made of them.

pub(crate) use crate::bindings::imports::tidemill::guest::{
    clock, context, durable, events, http, ledger, log, metrics, random, secrets, state, types,
};
