//! The samples of one attempt's own metrics, folded as they come: a guest that samples in a loop holds no more memory than
//! one that samples once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tidemill_engine::{Metric, MetricKind};

/// Series that one attempt may sample; samples of others are dropped and counted.
const SERIES: usize = 200;
/// Values for histograms that one attempt may leave, over all its series.
const OBSERVED: usize = 10_000;

type Series = (MetricKind, String, Vec<(String, String)>);

/// What one attempt has sampled so far.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    series: HashMap<Series, Vec<f64>>,
    observed: usize,
    dropped: u64,
}

impl Samples {
    pub(crate) fn add(&mut self, Metric { kind, name, value, labels }: Metric) {
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
            (MetricKind::Count, Some(sum)) => *sum += value,
            (MetricKind::Gauge, Some(last)) => *last = value,
            (MetricKind::Observe, _) if self.observed >= OBSERVED => self.dropped += 1,
            (MetricKind::Observe, _) => {
                self.observed += 1;
                values.push(value);
            }
            (_, None) => values.push(value),
        }
    }

    /// The folded samples, and how many were dropped.
    pub(crate) fn into_metrics(self) -> (Vec<Metric>, u64) {
        let one = |((kind, name, labels), values): (Series, Vec<f64>)| {
            values.into_iter().map(move |value| Metric { kind, name: name.clone(), value, labels: labels.clone() })
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

    #[test]
    fn counts_add_up_gauges_keep_the_last_and_observations_all() {
        let mut samples = Samples::default();
        for value in [1.0, 2.0, 4.0] {
            samples.add(sample(MetricKind::Count, "c", value));
            samples.add(sample(MetricKind::Gauge, "g", value));
            samples.add(sample(MetricKind::Observe, "o", value));
        }
        let (mut metrics, dropped) = samples.into_metrics();
        metrics.sort_by(|a, b| (&a.name, a.value).partial_cmp(&(&b.name, b.value)).unwrap());
        let values: Vec<_> = metrics.iter().map(|metric| (metric.name.as_str(), metric.value)).collect();
        assert_eq!(values, [("c", 7.0), ("g", 4.0), ("o", 1.0), ("o", 2.0), ("o", 4.0)]);
        assert_eq!(dropped, 0);
    }

    #[test]
    fn a_guest_that_samples_without_end_stays_in_bounds() {
        let mut samples = Samples::default();
        for n in 0..20_000 {
            samples.add(sample(MetricKind::Count, &n.to_string(), 1.0));
            samples.add(sample(MetricKind::Observe, "o", 1.0));
        }
        let (metrics, dropped) = samples.into_metrics();
        assert_eq!(metrics.len() as u64 + dropped, 40_000);
        assert_eq!(metrics.len(), SERIES - 1 + OBSERVED);
    }
}
