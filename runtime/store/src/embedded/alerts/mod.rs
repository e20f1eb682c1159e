//! Alerts with their notifications, silences, and the counts for service level objectives.
//!
//! A change of an alert and the notifications that follow from it are one commit. A notification
//! waits in the queue of its channel until it is sent or given up.

mod change;
mod expiry;
mod list;
mod notifications;
mod silences;
mod store;

use tidemill_core::AlertId;
use tidemill_core::alerts::{Alert, AlertKey};

use crate::embedded::tables::{ALERTS, name_key};
use crate::embedded::tx::ReadTx;
use crate::error::Result;

/// Builds the key of an open alert: rule NUL deployment NUL subject. A subject has no control
/// characters.
fn open_key(key: &AlertKey) -> Vec<u8> {
    let deployment = key.deployment.as_ref().map_or("", |name| name.as_str());
    name_key(key.rule.as_str(), &name_key(deployment, key.subject.as_bytes()))
}

/// Returns an alert.
fn get(store: &impl ReadTx, id: AlertId) -> Result<Option<Alert>> {
    store.record(ALERTS, &id.to_bytes())
}
