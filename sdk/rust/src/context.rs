//! The run that this guest executes, and its trigger.

use crate::durable::RunId;
use crate::host::context as host;
use crate::{Error, Result, Timestamp, json};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The trigger of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// `manual`, `schedule`, `webhook`, `event`, `parent` or `health-check`. Later releases may add
    /// kinds.
    pub kind: String,
    /// The name of the schedule, the hook or the topic.
    pub name: Option<String>,
    /// The id of the delivery or the event.
    pub id: Option<String>,
    /// The nominal time of a firing, even if the run starts late.
    pub at: Option<Timestamp>,
    /// The run that started this one.
    pub parent: Option<RunId>,
    /// Further data about the trigger.
    pub details: Value,
}

/// Returns the id of this run.
#[must_use]
pub fn id() -> RunId {
    RunId::from_host(host::id())
}

/// Returns the name of the deployment: `name`, or `name/instance` for an instance of it.
#[must_use]
pub fn deployment() -> String {
    host::deployment()
}

/// Returns the digest of the component: `sha256:…`.
#[must_use]
pub fn component() -> String {
    host::component()
}

/// Returns the trigger of the run.
#[must_use]
pub fn triggered_by() -> Trigger {
    let trigger = host::triggered_by();
    Trigger {
        kind: trigger.kind,
        name: trigger.name,
        id: trigger.id,
        at: trigger.at.map(Timestamp::from_millis),
        parent: trigger.parent.map(RunId::from_host),
        details: serde_json::from_str(&trigger.details).unwrap_or(Value::String(trigger.details)),
    }
}

/// Returns the time at which the run was requested.
#[must_use]
pub fn created_at() -> Timestamp {
    Timestamp::from_millis(host::created_at())
}

/// Returns the number of the run's current attempt, from 1.
#[must_use]
pub fn attempt() -> u32 {
    host::attempt()
}

/// Returns the number of the run's current generation, from 1. Each continue-as-new starts a
/// generation.
#[must_use]
pub fn generation() -> u32 {
    host::generation()
}

/// Returns the deployment's configuration: `[config]` of its manifest at the start of this
/// generation.
///
/// # Errors
/// `bad-config`, not retryable, if it does not match `T`; the message names the field.
pub fn config<T: DeserializeOwned>() -> Result<T> {
    json::decode(&host::config()).map_err(|why| Error::new("bad-config", format!("the deployment's [config]: {why}")))
}
