//! Metrics of your own, labelled by the host with the deployment. They count when the run's work takes hold.

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
