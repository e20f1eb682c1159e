//! Topics with their events, and subscriptions with how far they have been given them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::topics::SubscriptionStart;
use tidemill_core::{DeploymentName, EventId, Revision, RunId, SubscriptionName, Timestamp, Topic, TopicPattern};

use super::{NewRun, Operation, Pause};

/// Topics that there may be: nobody publishes to one more.
pub const TOPICS: u64 = 10_000;

/// An event that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id, made by the caller.
    pub id: EventId,
    /// Where to.
    pub topic: Topic,
    /// The text of a JSON value, of at most [`tidemill_core::topics::EVENT_BYTES`].
    pub payload: Bytes,
}

/// Who published an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publisher {
    /// Somebody from outside.
    Operator,
    /// A run.
    Run {
        /// Of which deployment.
        deployment: DeploymentName,
        /// Which.
        run: RunId,
    },
}

impl Publisher {
    /// The deployment whose run it was.
    #[must_use]
    pub const fn deployment(&self) -> Option<&DeploymentName> {
        match self {
            Self::Operator => None,
            Self::Run { deployment, .. } => Some(deployment),
        }
    }
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Where it was published.
    pub topic: Topic,
    /// Its place in its topic: each event's is one more than that of the one before.
    pub position: u64,
    /// When it was committed; not earlier than the one before.
    pub at: Timestamp,
    /// Who published it.
    pub publisher: Publisher,
    /// The text of a JSON value.
    pub payload: Bytes,
}

/// An event from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPublication {
    /// What is published.
    pub event: NewEvent,
    /// The caller's idempotency key, of at most 512 bytes: known for a day.
    pub key: Option<String>,
}

/// What became of an event from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is kept.
    Accepted,
    /// The key had published this one.
    Duplicate(EventId),
}

/// What there is of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSummary {
    /// Its name.
    pub topic: Topic,
    /// Events that are kept.
    pub events: u64,
    /// Events that were ever published, for as long as the topic is known.
    pub published: u64,
    /// The time of the oldest that is kept,
    pub first_at: Option<Timestamp>,
    /// and of the newest.
    pub last_at: Timestamp,
}

/// A subscription as a new revision has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// Its name.
    pub name: SubscriptionName,
    /// Which topics.
    pub topic: TopicPattern,
    /// Where it begins in topics that it is not given events of yet.
    pub begin: SubscriptionStart,
}

/// A subscription, and what it has been given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The deployment it belongs to.
    pub deployment: DeploymentName,
    /// Its name there.
    pub name: SubscriptionName,
    /// The revision whose manifest it follows.
    pub revision: Revision,
    /// Which topics.
    pub topic: TopicPattern,
    /// In topics of which it was given nothing yet it begins behind this commit.
    pub since: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Set while it is given nothing.
    pub paused: Option<Pause>,
    /// Events that made a run.
    pub delivered: u64,
    /// Events that its filter did not let pass.
    pub filtered: u64,
    /// Events that were forgotten before it was given them.
    pub lost: u64,
    /// Events that somebody had it leave out.
    pub skipped: u64,
    /// The time of the last event that it was given,
    pub last: Option<Timestamp>,
    /// and the last run that was made.
    pub last_run: Option<RunId>,
}

/// How far a subscription has come in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionLag {
    /// The place of the first event that it has not been given.
    pub position: u64,
    /// How many there are from there on.
    pub waiting: u64,
    /// Whether it is given nothing of them, because it is paused.
    pub paused: bool,
    /// The last run that was made for any of its topics: the ids of those to come are higher.
    pub last_run: Option<RunId>,
}

/// Events of one topic for one subscription: their runs are made and it moves on, or nothing happens.
#[derive(Debug, Clone)]
pub struct DeliveryCommit {
    /// The deployment,
    pub deployment: DeploymentName,
    /// its subscription,
    pub subscription: SubscriptionName,
    /// and the revision by which the runs were made; where there is another one by now, nothing happens.
    pub revision: Revision,
    /// Of which topic.
    pub topic: Topic,
    /// The first place; where the subscription stands elsewhere, nothing happens.
    pub from: u64,
    /// The place behind the last.
    pub to: u64,
    /// A run for each event that passes the filter, in the order of the events.
    pub runs: Vec<NewRun>,
    /// The time of the last event.
    pub last: Timestamp,
}

/// Events that a replay makes runs for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionReplay {
    /// Of this topic,
    pub topic: Topic,
    /// from this place on,
    pub from: u64,
    /// up to before this one.
    pub to: u64,
}

/// A part of a replay that is done: its runs are made and it moves on, or nothing happens.
#[derive(Debug, Clone)]
pub struct ReplayCommit {
    /// The operation as it stands then.
    pub operation: Operation,
    /// What was done; where the replay stands elsewhere, nothing happens.
    pub part: SubscriptionReplay,
    /// A run for each event that passes the filter, in the order of the events.
    pub runs: Vec<NewRun>,
}

/// Which events may be forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventPolicy {
    /// Those published before; and topics that were last published to before.
    pub published_before: Option<Timestamp>,
    /// All of a topic but so many of the newest.
    pub keep: Option<u64>,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpiredEvents {
    /// How many events.
    pub events: u64,
    /// How many times one of them was forgotten before a subscription was given it.
    pub lost: u64,
    /// Whether there may be more to forget now.
    pub more: bool,
}
