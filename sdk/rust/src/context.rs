//! Who and why: the run that this guest executes.

use crate::durable::RunId;
use crate::host::context as host;
use crate::{Error, Result, Timestamp, json};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What started the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// `manual`, `schedule`, `webhook`, `event`, `parent` or `health-check`; more may come.
    pub kind: String,
    /// Of the schedule, the hook or the topic.
    pub name: Option<String>,
    /// Of the delivery or the event.
    pub id: Option<String>,
    /// The nominal time of a firing, not the late one.
    pub at: Option<Timestamp>,
    /// The run that started this one.
    pub parent: Option<RunId>,
    /// What else there is to know of it.
    pub details: Value,
}

/// This run's id.
#[must_use]
pub fn id() -> RunId {
    RunId::from_host(host::id())
}

/// The deployment's name, `name/instance` for one of several parametrised copies.
#[must_use]
pub fn deployment() -> String {
    host::deployment()
}

/// The digest of the component, `sha256:…`.
#[must_use]
pub fn component() -> String {
    host::component()
}

/// What started the run.
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

/// When the run was asked for.
#[must_use]
pub fn created_at() -> Timestamp {
    Timestamp::from_millis(host::created_at())
}

/// Counts from 1 each time the run itself is tried again.
#[must_use]
pub fn attempt() -> u32 {
    host::attempt()
}

/// Counts from 1 each time the run continues as new.
#[must_use]
pub fn generation() -> u32 {
    host::generation()
}

/// The deployment's configuration: `[config]` of its manifest, as it stood when this generation began.
///
/// # Errors
/// `bad-config`, not retryable, where it does not have the shape of `T`; the message names the field.
pub fn config<T: DeserializeOwned>() -> Result<T> {
    json::decode(&host::config()).map_err(|why| Error::new("bad-config", format!("the deployment's [config]: {why}")))
}
