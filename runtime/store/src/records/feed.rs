//! The event feed: what happened, in the order of the commits.

use serde::{Deserialize, Serialize};
use tidemill_core::run::{Export, TriggerKind};
use tidemill_core::{DeploymentName, Fuel, Revision, RunId, ScheduleName, SubscriptionName, Timestamp, Topic};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEntry {
    /// Its place: strictly increasing, with gaps.
    pub position: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// What it was.
    pub event: FeedEvent,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeedEvent {
    /// A run came into a state.
    Run {
        /// The run.
        id: RunId,
        /// Its deployment.
        deployment: DeploymentName,
        /// Its export.
        export: Export,
        /// What started it.
        trigger: TriggerKind,
        /// The name of the state.
        state: String,
        /// The code of its failure, where it failed or was parked.
        code: Option<String>,
        /// Which attempt.
        attempt: u32,
        /// Work done so far.
        fuel: Fuel,
        /// The most memory held, in bytes.
        peak_memory: u64,
        /// From being taken up to now, in milliseconds.
        took_millis: u64,
    },
    /// A deployment changed: `put`, `paused`, `resumed` or `deleted`.
    Deployment {
        /// The deployment.
        name: DeploymentName,
        /// Its revision.
        revision: Revision,
        /// What was done.
        change: String,
    },
    /// A schedule changed, or firings of it did not go as usual: `paused`, `resumed`, `resynced`, `rescheduled` or `ended`; `skipped`,
    /// `dropped`, `late` or `missed`.
    Schedule {
        /// The deployment.
        deployment: DeploymentName,
        /// The schedule.
        name: ScheduleName,
        /// What was done.
        change: String,
        /// How many firings it concerns.
        firings: u64,
        /// Why, where somebody said so: the note of a pause.
        note: Option<String>,
    },
    /// A subscription was `paused` or `resumed`; or events went past it, or come again: `lost`, `skipped` or `replayed`.
    Subscription {
        /// The deployment.
        deployment: DeploymentName,
        /// The subscription.
        name: SubscriptionName,
        /// Of which topic; none where it is of several.
        topic: Option<Topic>,
        /// What was done, or what became of them.
        change: String,
        /// How many events.
        events: u64,
        /// Why, where somebody said so: the note of a pause.
        note: Option<String>,
    },
    /// A stretch posted to the ledger; one event a stream, currency and commit.
    Posted {
        /// The stream.
        stream: DeploymentName,
        /// The run that posted.
        run: RunId,
        /// The currency.
        currency: String,
        /// How many entries.
        entries: u64,
        /// What they add to net revenue, in minor units.
        net_revenue: i64,
    },
    /// A value of a deployment's state was changed by hand: `set` or `deleted`.
    State {
        /// The deployment.
        deployment: DeploymentName,
        /// The key.
        key: String,
        /// What was done.
        change: String,
        /// The size of the new value, in bytes; 0 if it was deleted.
        bytes: u64,
        /// The version that the value had before; 0 if there was none.
        before: u64,
        /// The version that it has now; 0 if it was deleted.
        after: u64,
    },
    /// The host's clock was set back, and schedules are silent until it shows again what it showed before.
    ClockSetBack {
        /// How far back, in milliseconds.
        back_millis: u64,
        /// How many schedules are silent.
        schedules: u64,
        /// When the last of them fires again.
        until: Timestamp,
    },
}
