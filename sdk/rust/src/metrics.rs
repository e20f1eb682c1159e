//! Custom metrics. The host adds the deployment as a label.
//!
//! A sample is an effect, like a state write. It counts once, when its transaction is committed,
//! despite crashes, replay and repeated transactions. Samples of a failed attempt of a run or step
//! do not count, like its writes. The values belong to the host process and start at zero with it,
//! as monitoring systems expect of counters.

use crate::host::metrics as host;
use crate::host::types::Field;

fn fields(labels: &[(&str, &str)]) -> Vec<Field> {
    labels.iter().map(|&(name, value)| Field { name: name.to_owned(), value: value.to_owned() }).collect()
}

/// Adds to a counter.
pub fn count(name: &str, by: f64, labels: &[(&str, &str)]) {
    host::count(name, by, &fields(labels));
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64, labels: &[(&str, &str)]) {
    host::gauge(name, value, &fields(labels));
}

/// Adds an observation to a histogram.
pub fn observe(name: &str, value: f64, labels: &[(&str, &str)]) {
    host::observe(name, value, &fields(labels));
}
