//! The wire form of a delivery.

use tidemill_api_types as shapes;
use tidemill_core::RunId;
use tidemill_store::records::{DeliveryFilter, DeliveryRecord};

use crate::wire::FromRecord;

/// The record without headers and runs, as lists show it.
impl<'a> FromRecord<&'a DeliveryRecord> for shapes::Delivery<'a> {
    fn of(DeliveryRecord { delivery, progress }: &'a DeliveryRecord) -> Self {
        Self {
            id: delivery.id,
            deployment: delivery.deployment.as_str().into(),
            hook: delivery.hook.as_str().into(),
            key: (&delivery.key).into(),
            outcome: progress.outcome.as_str().into(),
            received_at: delivery.received_at.into(),
            verified_by: (&delivery.verified_by).into(),
            event: delivery.event.as_deref().map(Into::into),
            object: delivery.object.as_deref().map(Into::into),
            version: delivery.version.map(|version| version.to_string()),
            transmission: delivery.transmission.as_deref().map(Into::into),
            method: (&delivery.method).into(),
            path: (&delivery.path).into(),
            query: (&delivery.query).into(),
            headers: Vec::new(),
            body_bytes: delivery.body_bytes,
            digest: delivery.digest.to_string(),
            last_run: progress.last_run,
            run_count: progress.runs,
            runs: Vec::new(),
            entries: Vec::new(),
            duplicates: progress.duplicates,
            last_duplicate_at: progress.last_duplicate_at.map(shapes::Time),
            settled_at: progress.settled_at.map(shapes::Time),
        }
    }
}

/// Returns the shape of a delivery with its headers, its runs and their entries.
#[must_use]
pub fn whole(record: &DeliveryRecord, runs: Vec<RunId>, entries: Vec<String>) -> shapes::Delivery<'_> {
    let header =
        |(name, value): &'_ (String, String)| shapes::Header { name: name.clone().into(), value: value.clone().into() };
    let headers = record.delivery.headers.iter().map(header).collect();
    shapes::Delivery { headers, runs, entries, ..shapes::Delivery::of(record) }
}

impl<'a> FromRecord<&'a DeliveryFilter> for shapes::DeliveryFilter<'a> {
    fn of(filter: &'a DeliveryFilter) -> Self {
        Self {
            deployment: filter.deployment.as_ref().map(|name| name.as_str().into()),
            hook: filter.hook.as_ref().map(|name| name.as_str().into()),
            outcome: filter.outcomes.iter().map(|outcome| outcome.as_str().into()).collect(),
            key: filter.key.as_deref().map(Into::into),
            object: filter.object.as_deref().map(Into::into),
            since: filter.since.map(shapes::Time),
            until: filter.until.map(shapes::Time),
        }
    }
}
