//! Verification through the public functions, with hooks as a manifest declares them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bits;
mod chains;
mod deliveries;
mod handshakes;
mod hooks;
mod paypal;
mod refusals;
mod vectors;
