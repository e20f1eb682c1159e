//! The events of the feed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::{DeliveryId, RunId};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// One event. Its name in the feed is `run`, `delivery`, `deployment`, `breaker`, `schedule`,
/// `subscription`, `posted`, `finding`, `state`, `secret`, `health`, `incident`, `alert`,
/// `operator` or `clock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Event))]
pub struct FeedEvent<'a> {
    /// When the event was committed.
    pub at: Time,
    /// The event's fields.
    #[serde(flatten)]
    pub what: FeedDetail<'a>,
}

/// The fields of an event; the event's name selects the variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = EventData))]
#[serde(untagged)]
pub enum FeedDetail<'a> {
    /// `run`: a run entered a state.
    Run {
        /// The run.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        run: RunId,
        /// The deployment of the run.
        deployment: Cow<'a, str>,
        /// The export that the run executes.
        export: Cow<'a, str>,
        /// The trigger that started the run.
        trigger: Cow<'a, str>,
        /// The new state.
        state: Cow<'a, str>,
        /// The code of the failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Cow<'a, str>>,
        /// The number of the attempt.
        attempt: u32,
        /// Fuel used so far.
        fuel: u64,
        /// The maximum memory used, in bytes.
        peak_memory: u64,
        /// Milliseconds from the first start until now.
        took_millis: u64,
    },
    /// `delivery`: a delivery to a hook was `stored`, `ignored`, `refused` or is a `test`; its run
    /// `failed` or is parked (`dead`); it was `replayed`; or it `expires` in 7 days and is dead.
    Delivery {
        /// The delivery.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        delivery: DeliveryId,
        /// The deployment of the hook.
        deployment: Cow<'a, str>,
        /// The hook.
        hook: Cow<'a, str>,
        /// The change.
        change: Cow<'a, str>,
        /// The latest run of the delivery.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
        run: Option<RunId>,
    },
    /// `deployment`: a deployment was `put`, `paused`, `resumed` or `deleted`.
    Deployment {
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The revision of the deployment.
        revision: u64,
        /// The change.
        change: Cow<'a, str>,
    },
    /// `breaker`: the circuit breaker of a deployment is `open`, `half-open` or `closed`, or an
    /// operator decided: `forced-open`, `forced-closed`, `disabled` or `automatic`.
    Breaker {
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The revision of the deployment.
        revision: u64,
        /// The state, or the decision.
        state: Cow<'a, str>,
        /// The reason with its figures, or the operator's note.
        reason: Cow<'a, str>,
        /// When the state ends by itself, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// `schedule`: a schedule was `paused`, `resumed`, `resynced`, `rescheduled` (zone data
    /// changed) or has `ended`, or firings were `skipped`, `dropped`, `late` or `missed`.
    Schedule {
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The schedule.
        schedule: Cow<'a, str>,
        /// The change.
        change: Cow<'a, str>,
        /// Number of firings.
        firings: u64,
        /// The reason, if one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Cow<'a, str>>,
    },
    /// `subscription`: a subscription was `paused` or `resumed`, or its events were `lost`,
    /// `skipped` or are `replayed`.
    Subscription {
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The subscription.
        subscription: Cow<'a, str>,
        /// The topic of the events; left out if they are of several topics.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<Cow<'a, str>>,
        /// The change, or what became of the events.
        change: Cow<'a, str>,
        /// Number of events.
        events: u64,
        /// The reason, if one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Cow<'a, str>>,
    },
    /// `clock`: the host's clock was set back. Schedules are silent until the clock passes the
    /// times that were handled before.
    Clock {
        /// How far the clock was set back, in milliseconds.
        back_ms: u64,
        /// Number of silent schedules.
        schedules: u64,
        /// When the last of them fires again.
        until: Time,
    },
    /// `posted`: a transaction posted entries to the ledger.
    Posted {
        /// The stream.
        stream: Cow<'a, str>,
        /// The run that posted.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        run: RunId,
        /// The currency.
        currency: Cow<'a, str>,
        /// Number of entries.
        entries: u64,
        /// The change of net revenue, in minor units.
        net_revenue: i64,
    },
    /// `finding`: findings about the ledger were `opened`, `reopened`, `closed` by a person, or
    /// `explained` by entries.
    Finding {
        /// The kind of the findings.
        finding: Cow<'a, str>,
        /// The stream; left out if they are about several.
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<Cow<'a, str>>,
        /// The change.
        change: Cow<'a, str>,
        /// Number of findings.
        findings: u64,
        /// The number of the last of them.
        number: u64,
    },
    /// `state`: an operator `set` or `deleted` a value of a deployment's state.
    State {
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The key.
        key: Cow<'a, str>,
        /// The change.
        change: Cow<'a, str>,
        /// Size of the new value, in bytes; 0 if it was deleted.
        bytes: u64,
        /// Version of the previous value; 0 if there was none.
        before: u64,
        /// Version of the new value; 0 if it was deleted.
        after: u64,
    },
    /// `health`: the health of a deployment changed.
    Health {
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The status before: `unknown`, `healthy`, `degraded` or `unhealthy`.
        from: Cow<'a, str>,
        /// The status after.
        to: Cow<'a, str>,
        /// Why the status changed.
        reason: Cow<'a, str>,
    },
    /// `incident`: an incident entered a phase, became worse, or was acknowledged.
    Incident {
        /// The number of the incident.
        incident: u64,
        /// The deployment; left out if the host itself is in trouble.
        #[serde(skip_serializing_if = "Option::is_none")]
        deployment: Option<Cow<'a, str>>,
        /// `critical` or `warning`.
        severity: Cow<'a, str>,
        /// The phase.
        phase: Cow<'a, str>,
        /// Whether a person has taken it on.
        acknowledged: bool,
        /// What is wrong.
        reason: Cow<'a, str>,
    },
    /// `alert`: an alert began to fire (`firing`), became more urgent (`raised`), was `escalated`
    /// or `acknowledged`, or is over (`resolved`).
    Alert {
        /// The alert.
        alert: Cow<'a, str>,
        /// Its rule.
        rule: Cow<'a, str>,
        /// The deployment; left out if it is about the host.
        #[serde(skip_serializing_if = "Option::is_none")]
        deployment: Option<Cow<'a, str>>,
        /// What of them; left out if they say enough.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<Cow<'a, str>>,
        /// `page` or `ticket`.
        severity: Cow<'a, str>,
        /// The change.
        change: Cow<'a, str>,
        /// What is wrong.
        summary: Cow<'a, str>,
    },
    /// `secret`: an operator `set` or `deleted` a secret, or an old version of it has `ended`.
    Secret {
        /// The name of the secret.
        secret: Cow<'a, str>,
        /// The version that was set or has ended, or the newest one that was deleted.
        version: u64,
        /// The change.
        change: Cow<'a, str>,
    },
    /// `operator`: a run acted on another deployment. The change itself has its own event.
    Operator {
        /// The deployment that the run acted on.
        deployment: Cow<'a, str>,
        /// Its revision after the action.
        revision: u64,
        /// The action: `pause`, `resume`, `rollback`, `retry` or `recycle`.
        action: Cow<'a, str>,
        /// The deployment of the run.
        by: Cow<'a, str>,
        /// The run.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        run: RunId,
        /// Its reason.
        note: Cow<'a, str>,
        /// Number of retried runs; left out for other actions.
        #[serde(skip_serializing_if = "Option::is_none")]
        runs: Option<u32>,
    },
}
