//! `tidemill:guest/random`: randomness that replays and that nobody outside can guess. At most 65,536 bytes a call;
//! more stops the guest.

use tidemill_core::Code;
use tidemill_core::limits::RANDOM_BYTES;

use super::abi::{Contract, Interface};
use crate::guest::GuestState;
use crate::guest::trap::GuestStop;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "random")?.call("bytes", |guest, (len,): (u32,)| bytes(guest, u64::from(len)))
}

/// For WASI too.
pub(super) fn bytes(guest: &mut GuestState, len: u64) -> wasmtime::Result<Vec<u8>> {
    if len > u64::from(RANDOM_BYTES) {
        let message = format!("the guest asked for {len} random bytes at once; at most {RANDOM_BYTES} are given");
        return Err(GuestStop::new(Code::LimitRandom, message).into());
    }
    Ok(guest.history.frame().random.bytes(usize::try_from(len).unwrap_or_default()))
}
