//! Incidents: their records, their timelines, and where runs go while a standby takes them.

mod record;
mod store;

pub(crate) use record::{on_deletion, update};
