//! A sum over the records of a table that is the same for the same records in any order.
//!
//! Each number of a record is multiplied by a hash of its key and its place, and the products are
//! added modulo 2¹²⁸. The sum is linear: what ten entries add to one bucket has the same sum as the
//! bucket. Two different tables have the same sum with a probability near 2⁻¹²⁸.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// The sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sketch(u128);

impl Sketch {
    /// Adds the numbers of a record.
    pub(crate) fn add<const N: usize>(&mut self, key: &[u8], numbers: [i128; N]) {
        for (place, number) in numbers.into_iter().enumerate() {
            if number != 0 {
                // An odd factor, so that no number other than 0 gives 0.
                let factor = xxh3_128_with_seed(key, place as u64 + 1) | 1;
                self.0 = self.0.wrapping_add(factor.wrapping_mul(number.cast_unsigned()));
            }
        }
    }

    /// Adds a record with a value that is no number.
    pub(crate) fn add_row(&mut self, key: &[u8], value: &[u8]) {
        let row = xxh3_128(key) ^ xxh3_128_with_seed(value, key.len() as u64 + 1).rotate_left(64);
        self.0 = self.0.wrapping_add(xxh3_128(&row.to_le_bytes()));
    }

    /// Returns in which of several parts a record is recounted.
    pub(crate) fn part_of(key: &[u8], parts: u64) -> u64 {
        xxh3_64(key) % parts.max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sum_depends_on_the_totals_alone(
            entries in prop::collection::vec((0u8..4, any::<i64>(), any::<i64>()), 0..40), changed in any::<prop::sample::Index>()
        ) {
            let mut single = Sketch::default();
            let mut totals = std::collections::BTreeMap::new();
            for (key, first, second) in &entries {
                single.add(&[*key], [(*first).into(), (*second).into()]);
                let total = totals.entry(*key).or_insert([0_i128; 2]);
                total[0] += i128::from(*first);
                total[1] += i128::from(*second);
            }
            let of = |totals: &std::collections::BTreeMap<u8, [i128; 2]>| {
                let mut sum = Sketch::default();
                totals.iter().for_each(|(key, numbers)| sum.add(&[*key], *numbers));
                sum
            };
            prop_assert_eq!(single, of(&totals));
            if !totals.is_empty() {
                let key = *totals.keys().nth(changed.index(totals.len())).unwrap();
                totals.get_mut(&key).unwrap()[1] += 1;
                prop_assert_ne!(single, of(&totals));
            }
        }
    }
}
