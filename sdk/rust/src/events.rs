//! Topics: an event reaches every subscribed deployment exactly once.

use crate::host::events as host;
use crate::{Error, Result, json};
use serde::Serialize;

/// Publishes an event to a topic that the deployment is granted.
///
/// # Errors
/// `host/not-granted` without the grant, `not-json` for a payload that does not serialise.
pub fn publish(topic: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
    host::publish(topic, &json::encode(payload)?).map_err(Error::from_failure)
}
