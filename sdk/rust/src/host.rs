//! Who answers the contract's imports: the host, through what `wit-bindgen` made of them; in a native test one that is not one.

#[cfg(not(all(feature = "testing", not(target_arch = "wasm32"))))]
pub(crate) use crate::bindings::imports::tidemill::guest::{
    clock, context, durable, events, http, ledger, log, metrics, random, secrets, state, types,
};

#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub(crate) use crate::testing::host::{
    clock, context, durable, events, http, ledger, log, metrics, random, secrets, state, types,
};
