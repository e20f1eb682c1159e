//! Where a run stands among others, for whoever asks why it does not go on.

use tidemill_core::RunId;
use tidemill_core::run::RunState;

use super::kept::{self, Kept};
use super::reads::Reads;
use super::tables::{DELAYED, READY, at, ready, under};
use super::{admit, debounce, lanes, places, turns};
use crate::error::StoreError;
use crate::records::{Listed, Standing};

type Result<T> = std::result::Result<T, StoreError>;

/// Runs of a lane, and of those before a turn, that are named.
const NAMED: usize = 10;

pub(super) fn of(store: &impl Reads, id: RunId, most: usize) -> Result<Option<Standing>> {
    let Some(kept) = kept::kept(store, id)? else { return Ok(None) };
    let listed = listed(store, &kept, most)?;
    let mut in_lanes = Vec::with_capacity(kept.run.lanes.len());
    for (place, lane) in kept.run.lanes.iter().enumerate() {
        let view = lanes::view(store, &kept.run.deployment, &lane.name, NAMED)?;
        in_lanes.push((lane.clone(), lanes::is_in(&kept, place), view));
    }
    let queued = places::queued(store, &kept.run.deployment)?;
    let starts = admit::starts(store, &kept.run.deployment)?;
    let turn_after = if matches!(listed, Listed::Turn(_)) { turns::before(store, &kept, NAMED)? } else { Vec::new() };
    let gathers = debounce::gathers(&kept);
    Ok(Some(Standing { gathers, run: kept.run, listed, lanes: in_lanes, turn_after, queued, starts }))
}

fn listed(store: &impl Reads, kept: &Kept, most: usize) -> Result<Listed> {
    let run = &kept.run;
    let due = match &run.state {
        RunState::Queued { not_before } => Some(*not_before),
        RunState::Suspended => run.waiting_for.as_ref().and_then(|wait| wait.until),
        _ => return Ok(Listed::Nowhere),
    };
    if let Some(before) = turns::ahead(store, kept, most)? {
        return Ok(Listed::Turn(before));
    }
    if let Some((place, before)) = lanes::waits(store, kept, most)? {
        return Ok(Listed::Lane(place, before));
    }
    if let Some(due) = due
        && store.bytes(DELAYED, &at(due, &run.id.to_bytes()))?.is_some()
    {
        return Ok(Listed::Delayed(due));
    }
    let key = ready(run);
    if store.bytes(READY, &key)?.is_none() {
        return Ok(Listed::Nowhere);
    }
    let before = store.range(READY, under(run.deployment.as_str(), &[])..key, false, most)?;
    Ok(Listed::Ready(before.len()))
}
