//! Lists alerts.

use tidemill_core::AlertId;
use tidemill_core::alerts::Alert;

use super::get;
use crate::embedded::codec::decode;
use crate::embedded::tables::{OPEN_ALERTS, RESOLVED_ALERTS};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::{AlertFilter, Page, PageRequest};

/// Maximum number of alerts that a page reads to fill itself.
const READ_MAX: usize = 2_000;

/// Returns the alerts that are not over.
pub(super) fn open(store: &impl ReadTx) -> Result<Vec<Alert>> {
    let mut found = Vec::new();
    for (_, bytes) in store.range(OPEN_ALERTS, prefix_range(&[]), false, usize::MAX)? {
        found.extend(get(store, decode::<AlertId>(OPEN_ALERTS, &bytes)?)?);
    }
    Ok(found)
}

/// Lists alerts that are over, the last one first.
pub(super) fn resolved(store: &impl ReadTx, filter: &AlertFilter, page: &PageRequest) -> Result<Page<Alert>> {
    let (mut items, mut cursor, mut read) = (Vec::new(), page.cursor.clone(), 0);
    loop {
        let limit = page.limit.clamp(1, READ_MAX);
        let found = store.page(RESOLVED_ALERTS, &[], true, &PageRequest { cursor, limit })?;
        for (key, _) in &found.items {
            read += 1;
            let id = key.get(8..).and_then(|id| <[u8; 16]>::try_from(id).ok()).map(AlertId::from_bytes);
            let alert = id.map_or(Ok(None), |id| get(store, id))?;
            items.extend(alert.filter(|alert| filter.selects(alert)));
            if items.len() == page.limit {
                let is_last = found.next.is_none() && found.items.last().is_some_and(|(last, _)| last == key);
                return Ok(Page { items, next: (!is_last).then(|| key.to_vec()) });
            }
        }
        if found.next.is_none() || read >= READ_MAX {
            return Ok(Page { items, next: found.next });
        }
        cursor = found.next;
    }
}
