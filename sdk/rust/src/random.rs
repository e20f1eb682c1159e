//! Random bytes that no one outside the host can predict. Replay returns the recorded bytes.

use crate::host::random as host;

/// Maximum length of one host call, in bytes.
const AT_A_TIME: usize = 65_536;

/// Fills the whole slice with random bytes.
pub fn fill(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(AT_A_TIME) {
        // A chunk has at most `AT_A_TIME` bytes, so its length fits.
        let random = host::bytes(chunk.len() as u32);
        chunk.copy_from_slice(&random);
    }
}

/// Returns a uniformly distributed random number.
#[must_use]
pub fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Returns a uniformly distributed random number below `bound`, or 0 if `bound` is 0.
#[must_use]
pub fn below(bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    // Values above the last whole multiple of `bound` are drawn again, because small numbers would
    // otherwise be more likely.
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = u64();
        if drawn < fair {
            return drawn % bound;
        }
    }
}

/// Returns a uniformly distributed value of a type: `random::<u32>()`, `random::<[u8; 16]>()`. A
/// float is in [0, 1).
#[must_use]
pub fn random<T: Random>() -> T {
    T::random()
}

/// A type that [`random`] can generate.
pub trait Random: Sized {
    /// Generates a random value.
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
        // 53 bits fill the mantissa of an `f64`, so all multiples of 2⁻⁵³ are equally likely.
        (u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
