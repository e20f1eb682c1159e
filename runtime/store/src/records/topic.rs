//! Topics with their events, and subscriptions with their positions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::topics::SubscriptionStart;
use tidemill_core::{DeploymentName, EventId, Revision, RunId, SubscriptionName, Timestamp, Topic, TopicPattern};

use super::{NewRun, Operation, Pause};

/// Maximum number of topics in the store. Publishing to a further topic is refused.
pub const TOPICS: u64 = 10_000;

/// An event to publish. Replay snapshots contain those of an open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// The id, created by the caller.
    pub id: EventId,
    /// The topic.
    pub topic: Topic,
    /// The text of a JSON value, at most [`tidemill_core::topics::EVENT_BYTES`].
    pub payload: Bytes,
}

/// The publisher of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publisher {
    /// A caller outside of any run.
    Operator,
    /// A run.
    Run {
        /// The deployment of the run.
        deployment: DeploymentName,
        /// The run.
        run: RunId,
    },
}

impl Publisher {
    /// Returns the deployment of the publishing run.
    #[must_use]
    pub const fn deployment(&self) -> Option<&DeploymentName> {
        match self {
            Self::Operator => None,
            Self::Run { deployment, .. } => Some(deployment),
        }
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The topic.
    pub topic: Topic,
    /// Its position in its topic; positions are consecutive.
    pub position: u64,
    /// When it was committed; never earlier than the event before it.
    pub at: Timestamp,
    /// The publisher.
    pub publisher: Publisher,
    /// The text of a JSON value.
    pub payload: Bytes,
}

/// An event from a caller outside of any run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPublication {
    /// The event.
    pub event: NewEvent,
    /// The caller's idempotency key, at most 512 bytes, which is reserved for one day.
    pub key: Option<String>,
}

/// The result of publishing an event from a caller outside of any run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The event is stored.
    Accepted,
    /// The key published this event before.
    Duplicate(EventId),
}

/// A summary of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSummary {
    /// Its name.
    pub topic: Topic,
    /// The number of stored events.
    pub events: u64,
    /// The number of events ever published, for as long as the topic exists.
    pub published: u64,
    /// The time of the oldest stored event.
    pub first_at: Option<Timestamp>,
    /// The time of the newest event.
    pub last_at: Timestamp,
}

/// The settings of a subscription in a new revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// Its name.
    pub name: SubscriptionName,
    /// The pattern of its topics.
    pub topic: TopicPattern,
    /// Where it starts in topics without a stored position.
    pub begin: SubscriptionStart,
}

/// A subscription with its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The deployment it belongs to.
    pub deployment: DeploymentName,
    /// Its name there.
    pub name: SubscriptionName,
    /// The revision whose manifest it follows.
    pub revision: Revision,
    /// The pattern of its topics.
    pub topic: TopicPattern,
    /// The commit after which it starts in topics without a stored position.
    pub since: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// The pause, while the subscription receives nothing.
    pub paused: Option<Pause>,
    /// The number of events that created a run.
    pub delivered: u64,
    /// The number of events that its filter rejected.
    pub filtered: u64,
    /// The number of events that were deleted before it received them.
    pub lost: u64,
    /// The number of events that an operator skipped.
    pub skipped: u64,
    /// The time of the last event that it received.
    pub last: Option<Timestamp>,
    /// The last run that it created.
    pub last_run: Option<RunId>,
}

/// The position of a subscription in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionLag {
    /// The position of the first event that it has not received.
    pub position: u64,
    /// The number of events from there on.
    pub waiting: u64,
    /// Whether the subscription is paused and receives none of them.
    pub paused: bool,
    /// The last run that was created for any of its topics. The ids of later runs are higher.
    pub last_run: Option<RunId>,
}

/// The delivery of events of one topic to one subscription: creates their runs and advances the
/// subscription, or has no effect.
#[derive(Debug, Clone)]
pub struct DeliveryCommit {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The subscription.
    pub subscription: SubscriptionName,
    /// The revision that the runs were created with. If the deployment has another one, the
    /// delivery has no effect.
    pub revision: Revision,
    /// The topic.
    pub topic: Topic,
    /// The first position. If the subscription has another position, the delivery has no effect.
    pub from: u64,
    /// The position after the last event.
    pub to: u64,
    /// A run for each event that passes the filter, in the order of the events.
    pub runs: Vec<NewRun>,
    /// The time of the last event.
    pub last: Timestamp,
}

/// A range of events that a replay delivers again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionReplay {
    /// The topic.
    pub topic: Topic,
    /// The first position.
    pub from: u64,
    /// The position after the last event.
    pub to: u64,
}

/// One executed part of a replay: creates its runs and advances the replay, or has no effect.
#[derive(Debug, Clone)]
pub struct ReplayCommit {
    /// The new state of the operation.
    pub operation: Operation,
    /// The executed range. If the replay has another position, the commit has no effect.
    pub part: SubscriptionReplay,
    /// A run for each event that passes the filter, in the order of the events.
    pub runs: Vec<NewRun>,
}

/// Selects the events to delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventPolicy {
    /// Events published before this time, and topics whose newest event is older.
    pub published_before: Option<Timestamp>,
    /// Number of newest events of each topic to keep; older ones are deleted.
    pub keep: Option<u64>,
}

/// The result of deleting events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpiredEvents {
    /// The number of deleted events.
    pub events: u64,
    /// How many times a subscription lost one of them before it received it.
    pub lost: u64,
    /// Whether there may be more to delete now.
    pub more: bool,
}
