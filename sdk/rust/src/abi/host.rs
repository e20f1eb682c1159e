//! The implementation of the contract's imports: the bindings of `wit-bindgen`, or the test harness
//! in a native test.

#[cfg(not(all(feature = "testing", not(target_arch = "wasm32"))))]
pub(crate) use crate::bindings::imports::tidemill::guest::{
    clock, context, durable, events, http, ledger, log, metrics, operator, random, secrets, state, types,
};

#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub(crate) use crate::testing::host::{
    clock, context, durable, events, http, ledger, log, metrics, operator, random, secrets, state, types,
};
