//! Topics, their events and subscriptions.

mod events;
pub(crate) mod expiry;
mod keys;
mod record;
mod replay;
mod store;
pub(crate) mod subscriptions;

pub(crate) use events::{after_commit, at_time, delete_event, from, publish, publisher};
pub(crate) use keys::forget_keys;
pub(crate) use record::{TopicRecord, end, head, matching, name, put_head, summary, total};
