//! A run's random generator: ChaCha20 seeded with the run's seed.
//!
//! Each generation has its own stream, and so has each step in it. Every attempt therefore draws
//! the same bytes, a skipped step shifts nothing, and the bytes cannot be predicted without the
//! seed.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use tidemill_core::journal::Hash;
use tidemill_core::run::Seed;

/// The random bytes of one run or step, drawn in order.
#[derive(Debug)]
pub(crate) struct RunRandom {
    seed: Seed,
    generation: u32,
    step: Option<Hash>,
    drawn: Option<Box<ChaCha20Rng>>,
}

impl RunRandom {
    /// Returns the generator of a run with this seed in this generation.
    pub const fn new(seed: Seed, generation: u32) -> Self {
        Self { seed, generation, step: None, drawn: None }
    }

    /// Returns the generator of the step at `path`.
    pub const fn of_step(seed: Seed, generation: u32, path: Hash) -> Self {
        Self { seed, generation, step: Some(path), drawn: None }
    }

    /// Draws the next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream().fill_bytes(&mut bytes);
        bytes
    }

    /// Draws the next eight bytes as a number.
    pub fn number(&mut self) -> u64 {
        self.stream().next_u64()
    }

    /// Returns a constant of the run: for hashers, not for secrets.
    pub fn insecure_seed(&self) -> (u64, u64) {
        let mut own = ChaCha20Rng::from_seed(self.seed.0);
        own.set_stream(u64::MAX);
        (own.next_u64(), own.next_u64())
    }

    fn stream(&mut self) -> &mut ChaCha20Rng {
        let Self { seed, generation, step, drawn } = self;
        drawn.get_or_insert_with(|| {
            // A path has more bits than a stream number, so a step has its own seed instead.
            let seed = step.map_or(seed.0, |path| {
                Sha256::new().chain_update(b"tidemill step").chain_update(seed.0).chain_update(path).finalize().into()
            });
            let mut stream = ChaCha20Rng::from_seed(seed);
            stream.set_stream(u64::from(*generation));
            Box::new(stream)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_draw_the_same_bytes() {
        let draw = |generation| RunRandom::new(Seed([7; 32]), generation).bytes(64);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let step = |path| RunRandom::of_step(Seed([7; 32]), 1, [path; 16]).bytes(64);
        assert_eq!(step(1), step(1));
        assert_ne!(step(1), step(2));
        assert_ne!(step(1), draw(1));
        let mut run = RunRandom::new(Seed([7; 32]), 1);
        let (first, second) = (run.number(), run.number());
        assert_ne!(first, second);
        assert_eq!(run.insecure_seed(), RunRandom::new(Seed([7; 32]), 2).insecure_seed());
    }
}
