//! Mutations of one input: bits, bytes, numbers, dictionary words, copies and splices.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use crate::index;

/// Maximum number of mutations of one input.
const STEPS: usize = 6;
/// Bytes at which lengths and numbers change their encoding, and characters with a meaning to
/// parsers.
const EDGES: &[u8] = &[0, 1, 0x1f, b' ', b'"', b'\\', b'{', b'[', 0x7f, 0x80, 0xc2, 0xed, 0xff];

/// Mutates inputs of one target.
#[derive(Debug, Clone, Copy)]
pub struct Mutator {
    /// Pieces to insert.
    pub dictionary: &'static [&'static [u8]],
    /// Maximum size of an input in bytes.
    pub max_bytes: usize,
}

impl Mutator {
    /// Changes `input` in one to six places. Splices take from `corpus`, which is not empty.
    pub fn mutate(&self, input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) {
        for _ in 0..=index(rng, STEPS) {
            self.step(input, corpus, rng);
        }
        input.truncate(self.max_bytes);
    }

    fn step(&self, input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) {
        let at = index(rng, input.len() + 1);
        match index(rng, 10) {
            0 => change(input, at, |byte, rng| byte ^ (1 << index(rng, 8)), rng),
            1 => change(input, at, |_, rng| EDGES[index(rng, EDGES.len())], rng),
            2 => change(input, at, |byte, rng| byte.wrapping_add(index(rng, 5) as u8).wrapping_sub(2), rng),
            3 => change(input, at, |_, rng| rng.next_u32() as u8, rng),
            4 => insert(input, at, &[EDGES[index(rng, EDGES.len())]]),
            5 | 6 if !self.dictionary.is_empty() => {
                insert(input, at, self.dictionary[index(rng, self.dictionary.len())]);
            }
            7 => {
                let to = at + index(rng, input.len() - at + 1).min(64);
                input.drain(at..to);
            }
            // A copy of a piece, often many times: depth and length grow quickly.
            8 => {
                let to = at + index(rng, input.len() - at + 1).min(64);
                let piece = input[at..to].repeat(1 + index(rng, 4) * index(rng, 32));
                insert(input, at, &piece);
            }
            _ => {
                let other = &corpus[index(rng, corpus.len())];
                let from = index(rng, other.len() + 1);
                let to = from + index(rng, other.len() - from + 1);
                let piece = other[from..to].to_vec();
                insert(input, at, &piece);
            }
        }
        input.truncate(self.max_bytes.saturating_mul(2));
    }
}

fn change(input: &mut [u8], at: usize, to: impl Fn(u8, &mut ChaCha8Rng) -> u8, rng: &mut ChaCha8Rng) {
    if let Some(byte) = input.get_mut(at) {
        *byte = to(*byte, rng);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}
