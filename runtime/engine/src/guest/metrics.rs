//! Folds the samples of a guest's own metrics in one transaction as they arrive. A guest that
//! samples in a loop uses no more memory than a guest that samples once. Samples are effects, as
//! writes are: kept with the transaction, dropped with a failed attempt and counted at the commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

/// Maximum number of series in one transaction; samples of others are dropped and counted.
const SERIES: usize = 200;
/// Maximum number of histogram values in one transaction, over all series.
const OBSERVED: usize = 10_000;

/// A sample of a guest's own metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// How the value is combined.
    pub kind: MetricKind,
    /// 1 to 64 lower-case letters, digits and underscores, the first a letter.
    pub name: String,
    /// A finite number; not negative for a counter.
    pub value: f64,
    /// At most 8 names, formed as `name` is, with values of at most 128 bytes.
    pub labels: Vec<(String, String)>,
}

/// The kinds of sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MetricKind {
    /// Adds to a counter.
    Count,
    /// Sets a gauge.
    Gauge,
    /// Adds a value to a histogram.
    Observe,
}

type Series = (MetricKind, String, Vec<(String, String)>);

/// A number as its bits, which makes it comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct NumberBits(u64);

impl NumberBits {
    const fn of(value: f64) -> Self {
        Self(value.to_bits())
    }

    const fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// The sum of a counter, the last value of a gauge and all values of a histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSamples {
    series: BTreeMap<Series, Vec<NumberBits>>,
    observed: usize,
    dropped: u64,
}

impl MetricSamples {
    /// Adds one sample.
    pub fn add(&mut self, Metric { kind, name, value, labels }: Metric) {
        let full = self.series.len() >= SERIES;
        let values = match self.series.entry((kind, name, labels)) {
            Entry::Occupied(values) => values.into_mut(),
            Entry::Vacant(free) if !full => free.insert(Vec::new()),
            Entry::Vacant(_) => {
                self.dropped += 1;
                return;
            }
        };
        match (kind, values.first_mut()) {
            (MetricKind::Count, Some(sum)) => *sum = NumberBits::of(sum.value() + value),
            (MetricKind::Gauge, Some(last)) => *last = NumberBits::of(value),
            (MetricKind::Observe, _) if self.observed >= OBSERVED => self.dropped += 1,
            (MetricKind::Observe, _) => {
                self.observed += 1;
                values.push(NumberBits::of(value));
            }
            (_, None) => values.push(NumberBits::of(value)),
        }
    }

    /// Adds later samples.
    pub fn take_in(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
            return;
        }
        let (metrics, dropped) = later.into_metrics();
        metrics.into_iter().for_each(|metric| self.add(metric));
        self.dropped += dropped;
    }

    /// Whether there is nothing to count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.dropped == 0
    }

    /// Returns the folded samples and the number of dropped samples.
    #[must_use]
    pub fn into_metrics(self) -> (Vec<Metric>, u64) {
        let one = |((kind, name, labels), values): (Series, Vec<NumberBits>)| {
            values.into_iter().map(move |value| Metric {
                kind,
                name: name.clone(),
                value: value.value(),
                labels: labels.clone(),
            })
        };
        (self.series.into_iter().flat_map(one).collect(), self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: MetricKind, name: &str, value: f64) -> Metric {
        Metric { kind, name: name.to_owned(), value, labels: Vec::new() }
    }

    fn sampled(values: &[f64]) -> MetricSamples {
        let mut samples = MetricSamples::default();
        for value in values {
            samples.add(sample(MetricKind::Count, "c", *value));
            samples.add(sample(MetricKind::Gauge, "g", *value));
            samples.add(sample(MetricKind::Observe, "o", *value));
        }
        samples
    }

    #[test]
    fn counts_add_up_gauges_keep_the_last_and_observations_all() {
        let mut parts = sampled(&[1.0]);
        parts.take_in(sampled(&[2.0, 4.0]));
        let stored: MetricSamples = postcard::from_bytes(&postcard::to_allocvec(&parts).unwrap()).unwrap();
        for samples in [sampled(&[1.0, 2.0, 4.0]), parts, stored] {
            let (metrics, dropped) = samples.into_metrics();
            let values: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.value)).collect();
            assert_eq!(values, [("c", 7.0), ("g", 4.0), ("o", 1.0), ("o", 2.0), ("o", 4.0)]);
            assert_eq!(dropped, 0);
        }
    }

    #[test]
    fn samples_are_bounded() {
        let mut samples = MetricSamples::default();
        for n in 0..20_000 {
            samples.add(sample(MetricKind::Count, &n.to_string(), 1.0));
            samples.add(sample(MetricKind::Observe, "o", 1.0));
        }
        let (metrics, dropped) = samples.into_metrics();
        assert_eq!(metrics.len() as u64 + dropped, 40_000);
        assert_eq!(metrics.len(), SERIES - 1 + OBSERVED);
    }
}
