//! `tidemill:guest/metrics`: the guest's own samples, counted at the commit of the transaction. The
//! calls have no failure in the WIT, so an invalid sample stops the guest with `host/bad-argument`.

use tidemill_core::Code;

use super::abi::{Contract, Interface};
use crate::component::bindings::wit::types::Field;
use crate::guest::GuestState;
use crate::guest::metrics::{Metric, MetricKind};
use crate::guest::trap::GuestStop;

/// Maximum size of the name of a metric or label, in bytes.
const NAME_BYTES: usize = 64;
/// Maximum size of a label's value, in bytes.
const VALUE_BYTES: usize = 128;
/// Maximum number of labels of a sample.
const LABELS: usize = 8;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    let mut metrics = Interface::new(contract, "metrics")?;
    metrics.tell("count", |guest, given: (String, f64, Vec<Field>)| sample(guest, MetricKind::Count, given))?;
    metrics.tell("gauge", |guest, given: (String, f64, Vec<Field>)| sample(guest, MetricKind::Gauge, given))?;
    metrics.tell("observe", |guest, given: (String, f64, Vec<Field>)| sample(guest, MetricKind::Observe, given))
}

fn sample(
    guest: &mut GuestState,
    kind: MetricKind,
    (name, value, labels): (String, f64, Vec<Field>),
) -> wasmtime::Result<()> {
    guest.not_in_health_check("metrics").map_err(GuestStop::from)?;
    let bad = |what: String| GuestStop::new(Code::BadArgument, format!("the metric is not valid: {what}"));
    if !is_name(&name) {
        return Err(
            bad("a name is 1 to 64 lower-case letters, digits and underscores, the first a letter".to_owned()).into()
        );
    }
    if !value.is_finite() || (kind == MetricKind::Count && value < 0.0) {
        return Err(bad(format!("`{name}` has the value {value}")).into());
    }
    if labels.len() > LABELS {
        return Err(bad(format!("`{name}` has {} labels; the maximum is {LABELS}", labels.len())).into());
    }
    if let Some(label) = labels.iter().find(|label| !is_name(&label.name) || label.value.len() > VALUE_BYTES) {
        let shown: String = label.name.chars().take(NAME_BYTES).collect();
        return Err(bad(format!(
            "label {shown:?} of `{name}`: a name as of a metric, a value of at most {VALUE_BYTES} bytes"
        ))
        .into());
    }
    let labels = labels.into_iter().map(|label| (label.name, label.value)).collect();
    if guest.history.live {
        guest.transaction.sample(Metric { kind, name, value, labels });
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
