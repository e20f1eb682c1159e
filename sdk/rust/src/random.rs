//! Randomness that nobody outside can guess, and that is the same again when the run is brought back.

use crate::host::random as host;

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

/// A random value of a type, every one as likely: `random::<u32>()`, `random::<[u8; 16]>()`. A float is in [0, 1).
#[must_use]
pub fn random<T: Random>() -> T {
    T::random()
}

/// What [`random`] makes.
pub trait Random: Sized {
    /// A random value.
    fn random() -> Self;
}

macro_rules! integers {
    ($($integer:ty),+) => {
        $(impl Random for $integer {
            fn random() -> Self {
                Self::from_le_bytes(<[u8; size_of::<$integer>()]>::random())
            }
        })+
    };
}

integers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

impl<const N: usize> Random for [u8; N] {
    fn random() -> Self {
        let mut bytes = [0; N];
        fill(&mut bytes);
        bytes
    }
}

impl Random for bool {
    fn random() -> Self {
        u8::random() & 1 == 1
    }
}

impl Random for f64 {
    fn random() -> Self {
        // 53 bits fill a float's mantissa, so each step between two neighbours is as likely.
        (u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
