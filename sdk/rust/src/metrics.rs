//! Metrics of your own, labelled by the host with the deployment.
//!
//! A sample is an effect, as a write of state is: it counts once, when the stretch that it was made in takes hold, whatever crashes, replays and is done again
//! before; of a failed attempt, of a run or of a step, it counts as little as the attempt's writes do. The figures are the host process's own and
//! begin anew with it, as a monitor expects of counters.

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
