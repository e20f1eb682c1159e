//! Topics. An event reaches each matching subscription exactly once.
//!
//! A subscription is a `[[subscription]]` of a manifest. For each event it starts a run of the
//! deployment's workflow with the event's payload as input. The handler of an event is therefore an
//! ordinary workflow with a typed input. [`event`] returns the event.
//!
//! ```no_run
//! use serde::Deserialize;
//! use tidemill_sdk::{Result, events, info};
//!
//! #[derive(Deserialize, tidemill_sdk::Schema)]
//! struct Created {
//!     order: u64,
//! }
//!
//! #[tidemill_sdk::workflow]
//! fn on_created(created: Created) -> Result<()> {
//!     if let Some(event) = events::event() {
//!         info!("order {}", created.order; topic = event.topic, published_at = event.at);
//!     }
//!     events::publish("mail.wanted", &created.order)
//! }
//! # fn main() {}
//! ```

use crate::durable::RunId;
use crate::host::events as host;
use crate::{Error, Result, Timestamp, context, json};
use serde::Serialize;

/// The event that started a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The id of the event. It is the same for every subscription and in every replay.
    pub id: String,
    /// The topic of the event.
    pub topic: String,
    /// The time of publication.
    pub at: Timestamp,
    /// The subscription of this deployment that matched the event.
    pub subscription: String,
    /// The deployment and the run that published it; `None` if an API caller published it.
    pub publisher: Option<(String, RunId)>,
    /// The subscription replay that delivered it; `None` the first time.
    pub replay: Option<String>,
}

/// Returns the event that started this run, or `None` if another trigger did.
#[must_use]
pub fn event() -> Option<Event> {
    let trigger = context::triggered_by();
    if trigger.kind != "event" {
        return None;
    }
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let publisher = &trigger.details["publisher"];
    let publisher = text(&publisher["deployment"]).zip(text(&publisher["run"]).map(RunId::from_host));
    Some(Event {
        id: trigger.id?,
        topic: trigger.name?,
        at: trigger.at?,
        subscription: text(&trigger.details["subscription"]).unwrap_or_default(),
        publisher,
        replay: text(&trigger.details["replay"]),
    })
}

/// Publishes an event to a topic. The deployment needs a grant for it (`topics` under `[grants]`).
/// The event is published with the next commit of this run, or at the end of the outermost open
/// step. A failed attempt publishes nothing.
///
/// # Errors
/// `host/not-granted` without the grant, `host/bad-argument` for an invalid topic or a payload of
/// more than 64 KiB, `host/limit-topics` if the maximum number of topics is reached, `not-json` for
/// a payload that does not serialize.
pub fn publish(topic: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
    host::publish(topic, &json::encode(payload)?).map_err(Error::from_failure)
}
