//! What passes between the store and its callers, a file a noun.

mod deployment;
mod failure;
mod feed;
mod firing;
mod ledger;
mod module;
mod operation;
mod page;
mod parked;
mod retention;
mod run;
mod schedule;
mod scrub;
mod signal;
mod state;
mod stretch;
mod topic;
mod usage;

use serde::{Deserialize, Deserializer};

pub use deployment::{Deployment, Pause, PutDeployment};
pub use failure::{
    FAILURE_DETAILS_BYTES, FAILURE_MESSAGE_BYTES, FAILURE_STEP_BYTES, FAILURES_OF_RUN, FailedPart, FailureRecord,
    NumberedFailure,
};
pub use feed::{FeedEntry, FeedEvent};
pub use firing::{Fate, FiringEntry};
pub use ledger::{AccountTotal, ExternalId, LedgerCheck, LedgerEntry, LedgerLeg, NewPosting, StreamTotal};
pub use module::{Component, ModuleVersion, PutVersion};
pub use operation::{Action, Operation, OperationState, Task};
pub use page::{Page, PageRequest};
pub use parked::{Parked, ParkedFilter, ParkedGroup, ParkedRun};
pub use retention::{Expired, RetentionPolicy};
pub use run::{
    Admitted, Claimed, Debounced, LaneView, Listed, LogLevel, LogLine, LogPage, NewRun, Requested, Retry, RunCounts,
    RunFilter, Standing, TakeOverFilter, Terms,
};
pub use schedule::{
    BackfillPart, DueSchedule, Fired, Firing, NewFiring, Replan, Resume, Schedule, ScheduleChange, Span, Times,
    UnendedFirings, Upcoming,
};
pub use scrub::Scrub;
pub use signal::{
    ChildOutcome, INBOX_BYTES, INBOX_RESERVE_BYTES, INBOX_RESERVE_SIGNALS, INBOX_SIGNALS, InboxSignal, SIGNAL_BYTES,
    SendSignal, Signalled, Undelivered,
};
pub use state::{ScanPage, ScanRequest, StateEdit, StateEdited, Version, Versioned};
pub use stretch::{Begins, Caused, Committed, ReadCheck, StateWrite, StoredJournal, StretchCommit};
pub use topic::{
    Behind, Delivery, Event, EventPolicy, ExpiredEvents, NewEvent, Publish, Published, Publisher, Replay, Replayed,
    Subscription, SubscriptionChange, TOPICS, TopicSummary,
};
pub use usage::Usage;

/// Reads a field that a later release added at the end of a record: bytes that end before it mean the default. Only the last fields
/// of what lies alone in its record can be read so.
fn added<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(de: D) -> Result<T, D::Error> {
    Ok(T::deserialize(de).unwrap_or_default())
}
