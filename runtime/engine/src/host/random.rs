//! `tidemill:guest/random`: random bytes that replay and that cannot be predicted from outside. At
//! most 65,536 bytes for each call; a larger request stops the guest.

use tidemill_core::Code;
use tidemill_core::limits::RANDOM_BYTES;

use super::abi::{Contract, Interface};
use crate::guest::GuestState;
use crate::guest::trap::GuestStop;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "random")?.call("bytes", |guest, (len,): (u32,)| bytes(guest, u64::from(len)))
}

/// Draws random bytes, for WASI too.
pub(super) fn bytes(guest: &mut GuestState, len: u64) -> wasmtime::Result<Vec<u8>> {
    if len > u64::from(RANDOM_BYTES) {
        let message = format!("the guest requested {len} random bytes in one call; the maximum is {RANDOM_BYTES}");
        return Err(GuestStop::new(Code::LimitRandom, message).into());
    }
    Ok(guest.history.frame().random.bytes(usize::try_from(len).unwrap_or_default()))
}
