//! The event feed: the changes of the store, in the order of the commits.

use serde::{Deserialize, Serialize};
use tidemill_core::alerts::AlertSeverity;
use tidemill_core::healing::{IncidentPhase, IncidentSeverity};
use tidemill_core::health::HealthStatus;
use tidemill_core::money::LedgerStream;
use tidemill_core::operator::OperatorAction;
use tidemill_core::run::{Export, TriggerKind};
use tidemill_core::{
    AlertId, AlertRuleName, DeliveryId, DeploymentName, Fuel, HookName, Revision, RunId, ScheduleName,
    SubscriptionName, Timestamp, Topic,
};

/// One entry of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEntry {
    /// Its position, which strictly increases, with gaps.
    pub position: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// The event.
    pub event: FeedEvent,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeedEvent {
    /// A run entered a state.
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
        /// The code of its failure, if it has one.
        code: Option<String>,
        /// The attempt.
        attempt: u32,
        /// The fuel used so far.
        fuel: Fuel,
        /// The maximum memory used, in bytes.
        peak_memory: u64,
        /// The time from the first claim to the end of the run, or to this event, in milliseconds.
        took_millis: u64,
    },
    /// A deployment changed: `put`, `paused`, `resumed` or `deleted`.
    Deployment {
        /// The deployment.
        name: DeploymentName,
        /// Its revision.
        revision: Revision,
        /// The change.
        change: String,
    },
    /// A schedule changed (`paused`, `resumed`, `resynced`, `rescheduled`, `ended`), or firings
    /// were irregular (`skipped`, `dropped`, `late`, `missed`).
    Schedule {
        /// The deployment.
        deployment: DeploymentName,
        /// The schedule.
        name: ScheduleName,
        /// The change.
        change: String,
        /// The number of firings.
        firings: u64,
        /// The note of a pause, or the reason of the change, if there is one.
        note: Option<String>,
    },
    /// A subscription was `paused` or `resumed`; or events were `lost`, `skipped` or `replayed`.
    Subscription {
        /// The deployment.
        deployment: DeploymentName,
        /// The subscription.
        name: SubscriptionName,
        /// The topic; `None` if several are concerned.
        topic: Option<Topic>,
        /// The change.
        change: String,
        /// The number of events.
        events: u64,
        /// The note of a pause, if there is one.
        note: Option<String>,
    },
    /// A transaction posted to the ledger; one event for each stream, currency and commit.
    Posted {
        /// The stream.
        stream: DeploymentName,
        /// The run that posted.
        run: RunId,
        /// The currency.
        currency: String,
        /// The number of entries.
        entries: u64,
        /// The change of net revenue, in minor units.
        net_revenue: i64,
    },
    /// A value of a deployment's state was changed by hand: `set` or `deleted`.
    State {
        /// The deployment.
        deployment: DeploymentName,
        /// The key.
        key: String,
        /// The change.
        change: String,
        /// The size of the new value, in bytes; 0 if it was deleted.
        bytes: u64,
        /// The version of the value before; 0 if there was none.
        before: u64,
        /// The new version of the value; 0 if it was deleted.
        after: u64,
    },
    /// The host's clock was set back, and schedules do not fire until it reaches its old time
    /// again.
    ClockSetBack {
        /// The distance, in milliseconds.
        back_millis: u64,
        /// The number of schedules that do not fire.
        schedules: u64,
        /// When the last of them fires again.
        until: Timestamp,
    },
    /// A delivery to a hook got an outcome (`stored`, `failed`, `dead`, `ignored`, `refused`,
    /// `test`), was `replayed`, or `expires` soon although it is dead. The event of its
    /// run reports that it is done.
    Delivery {
        /// The delivery.
        id: DeliveryId,
        /// The deployment of the hook.
        deployment: DeploymentName,
        /// The hook.
        hook: HookName,
        /// The change.
        change: String,
        /// Its latest run, if it has one.
        run: Option<RunId>,
    },
    /// A secret was `set` or `deleted`, or an old version of it has `ended`. Never holds a value.
    Secret {
        /// The name.
        name: String,
        /// The version that was set or has ended, or the newest one that was deleted.
        version: u64,
        /// The change.
        change: String,
    },
    /// Findings of one kind and stream were `opened`, `reopened`, `closed` by a person, or
    /// `explained` by entries; one event for each change and commit.
    Finding {
        /// The kind.
        kind: String,
        /// The stream; `None` if they are about several.
        stream: Option<LedgerStream>,
        /// The change.
        change: String,
        /// The number of findings.
        findings: u64,
        /// The number of the last one.
        number: u64,
    },
    /// The breaker of a deployment entered a state.
    Breaker {
        /// The deployment.
        deployment: DeploymentName,
        /// Its revision.
        revision: Revision,
        /// The state: `open`, `half-open`, `closed`, or the mode that an operator chose.
        state: String,
        /// Why, or the operator's note.
        reason: String,
        /// When the state ends by itself, if that is known.
        until: Option<Timestamp>,
    },
    /// The health of a deployment changed.
    Health {
        /// The deployment.
        deployment: DeploymentName,
        /// The status before.
        from: HealthStatus,
        /// The status after.
        to: HealthStatus,
        /// Why.
        reason: String,
    },
    /// An incident entered a phase, became worse, or was acknowledged.
    Incident {
        /// Its number.
        number: u64,
        /// The deployment; `None` if it is one of the host.
        deployment: Option<DeploymentName>,
        /// How bad it is.
        severity: IncidentSeverity,
        /// The phase.
        phase: IncidentPhase,
        /// Whether a person has taken it on.
        acknowledged: bool,
        /// What is wrong.
        reason: String,
    },
    /// An alert changed.
    Alert {
        /// The alert.
        id: AlertId,
        /// Its rule.
        rule: AlertRuleName,
        /// The deployment; `None` if it is about the host.
        deployment: Option<DeploymentName>,
        /// What of them; may be empty.
        subject: String,
        /// How urgent it is.
        severity: AlertSeverity,
        /// The change.
        change: String,
        /// What is wrong.
        summary: String,
    },
    /// A run acted on another deployment. The change itself has its own event.
    Operator {
        /// The deployment that the run acted on.
        deployment: DeploymentName,
        /// Its revision after the action.
        revision: Revision,
        /// The action.
        action: OperatorAction,
        /// The deployment of the run.
        by: DeploymentName,
        /// The run.
        run: RunId,
        /// Its reason.
        note: String,
        /// The number of retried runs, if that is the action.
        runs: Option<u32>,
    },
}
