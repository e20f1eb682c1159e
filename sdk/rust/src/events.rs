//! Topics: an event reaches every subscription that names its topic exactly once.
//!
//! A subscription is a `[[subscription]]` of a manifest: for each event it makes a run of the deployment's workflow, whose input is the
//! event's payload. So the handler of an event is an ordinary workflow with a typed input; [`event`] tells which event it is.
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

/// The event that a run was made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id: the same for every subscription, and in every replay.
    pub id: String,
    /// Where it was published.
    pub topic: String,
    /// When it was published.
    pub at: Timestamp,
    /// The subscription of this deployment that asked for it.
    pub subscription: String,
    /// The deployment and the run that published it; none where somebody from outside did.
    pub publisher: Option<(String, RunId)>,
    /// The replay that gives it again; none the first time.
    pub replay: Option<String>,
}

/// The event that this run was made for; none where something else has started it.
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

/// Publishes an event to a topic that the deployment is granted (`topics` under `[grants]`). It leaves when this run next commits, or at the end of
/// the outermost step that it is in: what fails has published nothing.
///
/// # Errors
/// `host/not-granted` without the grant, `host/bad-argument` for what is no topic or a payload of more than 64 KiB, `host/limit-topics` for a topic too
/// many, `not-json` for a payload that does not serialise.
pub fn publish(topic: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
    host::publish(topic, &json::encode(payload)?).map_err(Error::from_failure)
}
