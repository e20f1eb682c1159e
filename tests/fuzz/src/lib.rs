//! A mutation fuzzer for every parser that reads bytes from outside the host. It runs on the stable
//! toolchain and needs no instrumentation: inputs that a parser accepts become seeds themselves, so
//! that later mutations start from valid inputs of growing variety.
//!
//! A target states what must hold besides "no panic", for example that what was accepted is written
//! and read again without a change.

pub mod mutation;
pub mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use mutation::Mutator;

/// Maximum number of inputs in a corpus.
const CORPUS: usize = 512;

/// A parser under test.
pub trait Target: Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Valid inputs to start from.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Pieces that mutations insert, such as keywords and boundary values.
    fn dictionary(&self) -> &'static [&'static [u8]];

    /// Maximum size of an input in bytes.
    fn max_bytes(&self) -> usize;

    /// Parses `input`, panics if a law is broken, and returns whether the parser accepted it.
    fn check(&self, input: &[u8]) -> bool;
}

/// What a series of iterations met.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Inputs that the parser accepted.
    pub accepted: u64,
    /// Inputs that the parser rejected.
    pub rejected: u64,
}

/// An input that broke a law.
#[derive(Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// The text of the panic.
    pub message: String,
}

/// Checks `iterations` mutated inputs of `target`. The same `seed` gives the same inputs.
///
/// # Errors
/// The first input that broke a law.
pub fn run(target: &dyn Target, seed: u64, iterations: u64) -> Result<Report, Finding> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut corpus = target.seeds();
    let seeds = corpus.len();
    let mutator = Mutator { dictionary: target.dictionary(), max_bytes: target.max_bytes() };
    let mut report = Report::default();
    let mut input = Vec::new();
    for _ in 0..iterations {
        input.clear();
        input.extend_from_slice(&corpus[index(&mut rng, corpus.len())]);
        mutator.mutate(&mut input, &corpus, &mut rng);
        let accepted = catch_unwind(AssertUnwindSafe(|| target.check(&input)))
            .map_err(|panic| Finding { input: input.clone(), message: message(panic.as_ref()) })?;
        if !accepted {
            report.rejected += 1;
            continue;
        }
        report.accepted += 1;
        // The seeds stay: what was accepted may drift towards trivial inputs.
        if corpus.len() < seeds + CORPUS {
            corpus.push(input.clone());
        } else if rng.next_u32() % 16 == 0 {
            let slot = seeds + index(&mut rng, CORPUS);
            corpus[slot].clone_from(&input);
        }
    }
    Ok(report)
}

/// A random index below `length`, which is above zero.
pub(crate) fn index(rng: &mut ChaCha8Rng, length: usize) -> usize {
    rng.next_u32() as usize % length
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a text".to_owned())
}
