//! Randomness that nobody outside can guess, and that is the same again when the run is brought back.

use crate::bindings::imports::tidemill::guest::random as host;

/// Most that the host gives at a time, in bytes.
const AT_A_TIME: usize = 65_536;

/// Fills the whole slice with random bytes.
pub fn fill(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(AT_A_TIME) {
        // A chunk is never longer than AT_A_TIME, so its length fits.
        let random = host::bytes(chunk.len() as u32);
        chunk.copy_from_slice(&random);
    }
}

/// A random number, every one of them as likely.
#[must_use]
pub fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A random number below `bound`, every one of them as likely; 0 where `bound` is 0.
#[must_use]
pub fn below(bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    // What is over the last whole multiple of `bound` is drawn again, or small numbers would come more often.
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = u64();
        if drawn < fair {
            return drawn % bound;
        }
    }
}
