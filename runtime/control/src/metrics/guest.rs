//! The guests' own metrics: samples are counted when their attempt commits, and labelled with its
//! deployment.
//!
//! Guests choose the names, so families are created on demand; their number is bounded per
//! deployment. A prefix separates a guest's names from the host's. A suffix separates them from
//! names that OpenMetrics derives (`sent` has `sent_total`), because a strict parser rejects a text
//! in which two families share a name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tidemill_engine::{Metric, MetricKind};

/// Maximum number of series of one deployment. Further samples are dropped and counted.
const SERIES: usize = 500;

type Labels = Vec<(String, String)>;

/// Suffixes that OpenMetrics appends to the names of counters and histograms.
const RESERVED: [&str; 6] = ["_total", "_created", "_count", "_sum", "_bucket", "_info"];
/// Suffix of a name that would collide with one of another family.
const APART: &str = "_value";

/// Returns the family's name for a guest's name. OpenMetrics appends `_total` to a counter anyway.
fn family(kind: MetricKind, mut name: String) -> String {
    if kind == MetricKind::Count && name.len() > "_total".len() && name.ends_with("_total") {
        name.truncate(name.len() - "_total".len());
    }
    if name == "samples_dropped" || RESERVED.iter().any(|reserved| name.ends_with(reserved)) {
        name.push_str(APART);
    }
    name
}

/// Every family that a guest created.
#[derive(Debug, Default)]
pub(crate) struct GuestMetrics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    families: BTreeMap<String, MetricFamily>,
    series: BTreeMap<String, usize>,
    dropped: u64,
}

#[derive(Debug)]
struct MetricFamily {
    kind: MetricKind,
    series: BTreeMap<Labels, Value>,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Histogram(Histogram),
}

impl GuestMetrics {
    /// Counts the samples of a committed attempt of `deployment`.
    pub(crate) fn commit(&self, deployment: &str, samples: Vec<Metric>, dropped: u64) {
        if samples.is_empty() && dropped == 0 {
            return;
        }
        let mut state = self.0.lock();
        state.dropped += dropped;
        for sample in samples {
            state.add(deployment, sample);
        }
    }

    /// Removes the series of a deployment.
    pub(crate) fn forget(&self, deployment: &str) {
        let mut state = self.0.lock();
        state.series.remove(deployment);
        for family in state.families.values_mut() {
            family.series.retain(|labels, _| labels.first().is_none_or(|(_, own)| own != deployment));
        }
        state.families.retain(|_, family| !family.series.is_empty());
    }
}

impl State {
    fn add(&mut self, deployment: &str, Metric { kind, name, value, labels }: Metric) {
        let used = self.series.entry(deployment.to_owned()).or_insert(0);
        let family = match self.families.entry(family(kind, name)) {
            Entry::Occupied(family) => family.into_mut(),
            Entry::Vacant(_) if *used >= SERIES => {
                self.dropped += 1;
                return;
            }
            Entry::Vacant(free) => free.insert(MetricFamily { kind, series: BTreeMap::new() }),
        };
        // The first sample decides a name's kind: a scraper accepts no family of two kinds.
        if family.kind != kind {
            self.dropped += 1;
            return;
        }
        let mut all = Vec::with_capacity(labels.len() + 1);
        all.push(("deployment".to_owned(), deployment.to_owned()));
        all.extend(labels.into_iter().filter(|(name, _)| name != "deployment" && name != "le"));
        all.sort_by(|a, b| (a.0 != "deployment", &a.0).cmp(&(b.0 != "deployment", &b.0)));
        all.dedup_by(|a, b| a.0 == b.0);
        let series = match family.series.entry(all) {
            Entry::Occupied(series) => series.into_mut(),
            Entry::Vacant(_) if *used >= SERIES => {
                self.dropped += 1;
                return;
            }
            Entry::Vacant(free) => {
                *used += 1;
                free.insert(match kind {
                    MetricKind::Observe => Value::Histogram(Histogram::new(exponential_buckets(0.001, 4.0, 12))),
                    MetricKind::Count | MetricKind::Gauge => Value::Number(0.0),
                })
            }
        };
        match series {
            Value::Histogram(histogram) => histogram.observe(value),
            Value::Number(number) if kind == MetricKind::Count => *number += value.max(0.0),
            Value::Number(number) => *number = value,
        }
    }
}

impl Collector for GuestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let state = self.0.lock();
        let dropped = ConstCounter::new(state.dropped);
        let samples = "guest_samples_dropped";
        dropped.encode(encoder.encode_descriptor(
            samples,
            "Samples of guests that exceeded a bound",
            None,
            MetricType::Counter,
        )?)?;
        for (name, family) in &state.families {
            let kind = match family.kind {
                MetricKind::Count => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Observe => MetricType::Histogram,
            };
            let name = format!("guest_{name}");
            let mut encoder = encoder.encode_descriptor(&name, "A guest's own metric", None, kind)?;
            for (labels, value) in &family.series {
                let one = encoder.encode_family(labels)?;
                match (family.kind, value) {
                    (MetricKind::Count, Value::Number(number)) => ConstCounter::new(*number).encode(one)?,
                    (_, Value::Number(number)) => ConstGauge::new(*number).encode(one)?,
                    (_, Value::Histogram(histogram)) => histogram.encode(one)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn sample(kind: MetricKind, name: &str, value: f64, label: &str) -> Metric {
        Metric { kind, name: name.to_owned(), value, labels: vec![("to".to_owned(), label.to_owned())] }
    }

    fn text(metrics: &std::sync::Arc<GuestMetrics>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(std::sync::Arc::clone(metrics)));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn samples_add_up_by_deployment_and_label() {
        let metrics = std::sync::Arc::new(GuestMetrics::default());
        metrics.commit(
            "a",
            vec![sample(MetricKind::Count, "sent", 2.0, "x"), sample(MetricKind::Count, "sent", 1.5, "x")],
            0,
        );
        metrics.commit(
            "b",
            vec![sample(MetricKind::Gauge, "depth", 4.0, "x"), sample(MetricKind::Observe, "took", 0.5, "y")],
            0,
        );
        let shown = text(&metrics);
        assert!(shown.contains("guest_sent_total{deployment=\"a\",to=\"x\"} 3.5"), "{shown}");
        assert!(shown.contains("guest_depth{deployment=\"b\",to=\"x\"} 4.0"), "{shown}");
        assert!(shown.contains("guest_took_count{deployment=\"b\",to=\"y\"} 1"), "{shown}");
        metrics.forget("b");
        assert!(!text(&metrics).contains("\"b\""));
    }

    #[test]
    fn families_never_share_a_name_or_a_derived_name() {
        let metrics = std::sync::Arc::new(GuestMetrics::default());
        let kinds = [MetricKind::Count, MetricKind::Gauge, MetricKind::Observe];
        let names = [
            "a",
            "a_total",
            "a_total_total",
            "a_count",
            "a_sum",
            "a_bucket",
            "a_created",
            "a_info",
            "b_value",
            "b_total",
            "b_count",
            "samples_dropped",
            "samples_dropped_total",
            "total",
        ];
        for turn in 0..kinds.len() {
            for (at, name) in names.iter().enumerate() {
                let kind = kinds[(turn + at) % kinds.len()];
                metrics.commit(&format!("d{turn}"), vec![sample(kind, name, 1.0, "x")], 0);
            }
        }
        let shown = text(&metrics);
        let mut owners = std::collections::BTreeMap::new();
        for line in shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (family, kind) = line.split_once(' ').unwrap();
            let made: &[&str] = match kind {
                "counter" => &["", "_total", "_created"],
                "histogram" => &["", "_count", "_sum", "_bucket", "_created"],
                _ => &[""],
            };
            for name in made.iter().map(|made| format!("{family}{made}")) {
                assert_eq!(owners.insert(name.clone(), family), None, "{name} of {family} in\n{shown}");
            }
        }
        assert!(shown.contains("guest_a_total{"), "{shown}");
    }

    #[test]
    fn deployments_cannot_exhaust_memory_or_change_a_familys_kind() {
        let metrics = std::sync::Arc::new(GuestMetrics::default());
        metrics.commit("a", (0..600).map(|n| sample(MetricKind::Count, "n", 1.0, &n.to_string())).collect(), 3);
        metrics.commit("b", vec![sample(MetricKind::Gauge, "n", 1.0, "x")], 0);
        let shown = text(&metrics);
        assert!(shown.contains("guest_samples_dropped_total 104"), "{shown}");
        assert_eq!(shown.matches("guest_n_total{").count(), SERIES);
    }
}
