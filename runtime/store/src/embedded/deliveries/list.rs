//! Reads and lists deliveries, with the outcome of the moment.

use tidemill_core::delivery::DeliveryOutcome;
use tidemill_core::run::RunState;
use tidemill_core::{DeliveryId, Timestamp};

use crate::embedded::codec::decode;
use crate::embedded::deliveries::{keys, progress};
use crate::embedded::runs;
use crate::embedded::tables::{DELIVERIES, DELIVERIES_BY_OBJECT, DELIVERY_KEYS, DELIVERY_PROGRESS, name_key};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{DeliveryFilter, DeliveryProgress, DeliveryRecord, HookDelivery, Page, PageRequest};

/// Maximum number of deliveries that one page of a filtered list reads.
const LOOK_AT: usize = 2_000;

pub(crate) fn get(store: &impl ReadTx, id: DeliveryId) -> Result<Option<DeliveryRecord>> {
    let Some(delivery) = progress::find(store, id)? else { return Ok(None) };
    let Some(progress) = progress::get(store, &delivery.deployment, id)? else { return Ok(None) };
    let progress = current(store, progress)?;
    Ok(Some(DeliveryRecord { delivery, progress }))
}

/// Replaces the outcome of an open delivery by the one of this moment.
fn current(store: &impl ReadTx, mut progress: DeliveryProgress) -> Result<DeliveryProgress> {
    if progress.outcome == DeliveryOutcome::Stored
        && let Some(id) = progress.last_run
        && let Some(run) = runs::run(store, id)?
        && (run.started_at.is_some() || !matches!(run.state, RunState::Queued { .. }))
    {
        progress.outcome = DeliveryOutcome::Running;
    }
    Ok(progress)
}

/// Lists deliveries, newest first. A page ends early if few of many deliveries match.
pub(crate) fn list(store: &impl ReadTx, filter: &DeliveryFilter, page: &PageRequest) -> Result<Page<DeliveryRecord>> {
    if let (Some(deployment), Some(hook), Some(key)) = (&filter.deployment, &filter.hook, &filter.key) {
        return by_key(store, filter, &keys::by_key(deployment, hook, key, None));
    }
    let (table, prefix) = match (&filter.deployment, &filter.object) {
        (Some(deployment), Some(object)) => (DELIVERIES_BY_OBJECT, keys::object_prefix(deployment, object)),
        (Some(deployment), None) => (DELIVERY_PROGRESS, name_key(deployment.as_str(), &[])),
        (None, _) => (DELIVERIES, Vec::new()),
    };
    let edge = |time: Timestamp| [prefix.as_slice(), &DeliveryId::new(time, 0).to_bytes()].concat();
    let mut range = prefix_range(&prefix);
    if let Some(since) = filter.since {
        range.start = edge(since);
    }
    if let Some(until) = filter.until {
        range.end = range.end.min(edge(until));
    }
    if let Some(cursor) = &page.cursor {
        range.end = range.end.min(cursor.clone());
    }
    let (mut found, mut looked_at, limit) = (Page::default(), 0, page.limit.max(1));
    while range.start < range.end {
        let batch = store.range(table, range.clone(), true, (limit + 1).min(200))?;
        let Some((last, _)) = batch.last() else { break };
        range.end = last.to_vec();
        for (key, bytes) in &batch {
            looked_at += 1;
            let may_fit = if table == DELIVERY_PROGRESS {
                let progress: DeliveryProgress = decode(table, bytes)?;
                filter.hook.as_ref().is_none_or(|hook| *hook == progress.hook) && may_have(filter, &progress)
            } else {
                true
            };
            let id = keys::delivery_at_end(key)
                .ok_or_else(|| StoreError::Damaged { what: format!("a key of table {} is too short", table.name) })?;
            if may_fit
                && let Some(record) = get(store, id)?
                && matches(filter, &record)
            {
                found.items.push(record);
            }
            if found.items.len() == limit || looked_at == LOOK_AT {
                // A full page may be the last one.
                let rest = range.start.clone()..key.to_vec();
                found.next = (!store.range(table, rest, true, 1)?.is_empty()).then(|| key.to_vec());
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Returns the deliveries of one key of a hook: few, and all on one page.
fn by_key(store: &impl ReadTx, filter: &DeliveryFilter, prefix: &[u8]) -> Result<Page<DeliveryRecord>> {
    let mut items = Vec::new();
    for (_, bytes) in store.scan_prefix(DELIVERY_KEYS, prefix, LOOK_AT)? {
        if let Some(record) = get(store, decode(DELIVERY_KEYS, &bytes)?)?
            && matches(filter, &record)
        {
            items.push(record);
        }
    }
    items.sort_unstable_by_key(|record: &DeliveryRecord| std::cmp::Reverse(record.delivery.id));
    Ok(Page { items, next: None })
}

/// Returns whether a stored progress can have one of the outcomes, before the state of its run is
/// read.
fn may_have(filter: &DeliveryFilter, progress: &DeliveryProgress) -> bool {
    filter.outcomes.is_empty()
        || filter
            .outcomes
            .iter()
            .any(|outcome| *outcome == progress.outcome || (outcome.is_open() && progress.outcome.is_open()))
}

fn matches(filter: &DeliveryFilter, DeliveryRecord { delivery, progress }: &DeliveryRecord) -> bool {
    let HookDelivery { deployment, hook, key, object, received_at, .. } = delivery;
    filter.deployment.as_ref().is_none_or(|wanted| wanted == deployment)
        && filter.hook.as_ref().is_none_or(|wanted| wanted == hook)
        && filter.key.as_ref().is_none_or(|wanted| wanted == key)
        && filter.object.as_ref().is_none_or(|wanted| Some(wanted) == object.as_ref())
        && filter.since.is_none_or(|since| *received_at >= since)
        && filter.until.is_none_or(|until| *received_at < until)
        && (filter.outcomes.is_empty() || filter.outcomes.contains(&progress.outcome))
}
