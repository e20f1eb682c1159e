//! Converts events into the runs that they request of a subscription's deployment.

use serde_json::json;
use tidemill_core::run::{Export, Trigger, TriggerKind};
use tidemill_core::{RunId, Timestamp, batch};
use tidemill_store::Store;
use tidemill_store::records::{Event, NewRun, Publisher};

use crate::deployment::active::ActiveDeployment;
use crate::deployment::exports;
use crate::error::ControlError;
use crate::random;
use crate::run::collection::period;
use crate::topic::subscription_index::Subscriber;

/// Maximum number of events of one topic that one commit delivers to a subscription.
pub(crate) const BATCH: usize = 64;
/// Payload size after which a commit takes no further event, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Interval between checks whether a full queue has room, in milliseconds.
pub(crate) const SOON: u64 = 500;

/// Returns how many more runs may wait for a deployment.
pub(crate) async fn queue_room(
    store: &dyn Store,
    live: &ActiveDeployment,
    queue_max: u64,
) -> Result<usize, ControlError> {
    let queued = store.queue_length(&live.deployment.name).await?;
    Ok(usize::try_from(live.queue_max(queue_max).saturating_sub(queued)).unwrap_or(usize::MAX))
}

/// Returns the first events that one commit takes: at least one.
pub(crate) fn first_batch(events: &[Event], most: usize) -> &[Event] {
    let fits = batch::head(events, most.max(1), BATCH_BYTES, |event| event.payload.len());
    events.get(..fits).unwrap_or(events)
}

/// Returns a run request for each event that passes the subscription's filter. Their ids are in the
/// order of the events and follow `last_run`.
pub(crate) fn requests(
    queue_max: u64,
    subscriber: &Subscriber,
    events: &[Event],
    last_run: Option<RunId>,
    replay: Option<&str>,
    now: Timestamp,
) -> Result<Vec<NewRun>, ControlError> {
    let Subscriber { live, subscription } = subscriber;
    let export = exports::of_event(&live.plan.exports, subscription.export)?;
    let after = last_run.map_or(now, |last| last.made_at().plus_millis(1));
    let mut id = random::run_id(now.max(after));
    let mut runs = Vec::with_capacity(events.len());
    for event in events.iter().filter(|event| subscription.filter.passes_text(&event.payload)) {
        let mut details = json!({ "subscription": subscription.name });
        if let Publisher::Run { deployment, run } = &event.publisher {
            details["publisher"] = json!({ "deployment": deployment, "run": run });
        }
        if let Some(replay) = replay {
            details["replay"] = replay.into();
        }
        let trigger = Trigger {
            kind: TriggerKind::Event,
            name: Some(event.topic.to_string()),
            id: Some(event.id.to_string()),
            at: Some(event.at),
            parent: None,
            details: Some(details.to_string()),
        };
        let input = match export {
            Export::RevenueStream => period(None, event.at),
            _ => event.payload.clone(),
        };
        id = id.next();
        // Each event makes a run of its own: it is never debounced.
        let terms = live.own_terms(&input, queue_max);
        runs.push(NewRun { terms, ..live.new_run(id, export, trigger, input, now) });
    }
    Ok(runs)
}
