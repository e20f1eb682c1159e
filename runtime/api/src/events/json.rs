//! The wire form of an event.

use serde::Serialize;
use tidemill_core::{RunId, Topic};
use tidemill_store::records::{FeedEntry, FeedEvent};
use utoipa::ToSchema;

use crate::wire::TimeJson;

/// One event. Its name in the feed is `run`, `deployment`, `schedule`, `subscription`, `posted`,
/// `state` or `clock`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct FeedEventJson<'a> {
    /// When the event was committed.
    at: TimeJson,
    /// The event's fields.
    #[serde(flatten)]
    what: FeedDetailJson<'a>,
}

/// The fields of an event; the event's name selects the variant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventData)]
#[serde(untagged)]
pub enum FeedDetailJson<'a> {
    /// `run`: a run entered a state.
    Run {
        /// The run.
        #[schema(value_type = String)]
        run: RunId,
        /// The deployment of the run.
        deployment: &'a str,
        /// The export that the run executes.
        export: &'static str,
        /// The trigger that started the run.
        trigger: &'static str,
        /// The new state.
        state: &'a str,
        /// The code of the failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        /// The number of the attempt.
        attempt: u32,
        /// Fuel used so far.
        fuel: u64,
        /// The maximum memory used, in bytes.
        peak_memory: u64,
        /// Milliseconds from the first start until now.
        took_millis: u64,
    },
    /// `deployment`: a deployment was `put`, `paused`, `resumed` or `deleted`.
    Deployment {
        /// The deployment.
        deployment: &'a str,
        /// The revision of the deployment.
        revision: u64,
        /// The change.
        change: &'a str,
    },
    /// `schedule`: a schedule was `paused`, `resumed`, `resynced`, `rescheduled` (zone data
    /// changed) or has `ended`, or firings were `skipped`, `dropped`, `late` or `missed`.
    Schedule {
        /// The deployment.
        deployment: &'a str,
        /// The schedule.
        schedule: &'a str,
        /// The change.
        change: &'a str,
        /// Number of firings.
        firings: u64,
        /// The reason, if one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// `subscription`: a subscription was `paused` or `resumed`, or its events were `lost`,
    /// `skipped` or are `replayed`.
    Subscription {
        /// The deployment.
        deployment: &'a str,
        /// The subscription.
        subscription: &'a str,
        /// The topic of the events; left out if they are of several topics.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        /// The change, or what became of the events.
        change: &'a str,
        /// Number of events.
        events: u64,
        /// The reason, if one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// `clock`: the host's clock was set back. Schedules are silent until the clock passes the
    /// times that were handled before.
    Clock {
        /// How far the clock was set back, in milliseconds.
        back_ms: u64,
        /// Number of silent schedules.
        schedules: u64,
        /// When the last of them fires again.
        until: TimeJson,
    },
    /// `posted`: a transaction posted entries to the ledger.
    Posted {
        /// The stream.
        stream: &'a str,
        /// The run that posted.
        #[schema(value_type = String)]
        run: RunId,
        /// The currency.
        currency: &'a str,
        /// Number of entries.
        entries: u64,
        /// The change of net revenue, in minor units.
        net_revenue: i64,
    },
    /// `state`: an operator `set` or `deleted` a value of a deployment's state.
    State {
        /// The deployment.
        deployment: &'a str,
        /// The key.
        key: &'a str,
        /// The change.
        change: &'a str,
        /// Size of the new value, in bytes; 0 if it was deleted.
        bytes: u64,
        /// Version of the previous value; 0 if there was none.
        before: u64,
        /// Version of the new value; 0 if it was deleted.
        after: u64,
    },
}

impl<'a> FeedEventJson<'a> {
    /// Returns the event's name and its wire form.
    #[must_use]
    pub fn of(entry: &'a FeedEntry) -> (&'static str, Self) {
        let (name, what) = match &entry.event {
            FeedEvent::Run {
                id,
                deployment,
                export,
                trigger,
                state,
                code,
                attempt,
                fuel,
                peak_memory,
                took_millis,
            } => (
                "run",
                FeedDetailJson::Run {
                    run: *id,
                    deployment: deployment.as_str(),
                    export: export.as_str(),
                    trigger: trigger.as_str(),
                    state,
                    code: code.as_deref(),
                    attempt: *attempt,
                    fuel: fuel.get(),
                    peak_memory: *peak_memory,
                    took_millis: *took_millis,
                },
            ),
            FeedEvent::Deployment { name, revision, change } => (
                "deployment",
                FeedDetailJson::Deployment { deployment: name.as_str(), revision: revision.get(), change },
            ),
            FeedEvent::Schedule { deployment, name, change, firings, note } => (
                "schedule",
                FeedDetailJson::Schedule {
                    deployment: deployment.as_str(),
                    schedule: name.as_str(),
                    change,
                    firings: *firings,
                    note: note.as_deref(),
                },
            ),
            FeedEvent::Subscription { deployment, name, topic, change, events, note } => (
                "subscription",
                FeedDetailJson::Subscription {
                    deployment: deployment.as_str(),
                    subscription: name.as_str(),
                    topic: topic.as_ref().map(Topic::as_str),
                    change,
                    events: *events,
                    note: note.as_deref(),
                },
            ),
            FeedEvent::ClockSetBack { back_millis, schedules, until } => (
                "clock",
                FeedDetailJson::Clock { back_ms: *back_millis, schedules: *schedules, until: TimeJson(*until) },
            ),
            FeedEvent::Posted { stream, run, currency, entries, net_revenue } => (
                "posted",
                FeedDetailJson::Posted {
                    stream: stream.as_str(),
                    run: *run,
                    currency,
                    entries: *entries,
                    net_revenue: *net_revenue,
                },
            ),
            FeedEvent::State { deployment, key, change, bytes, before, after } => (
                "state",
                FeedDetailJson::State {
                    deployment: deployment.as_str(),
                    key,
                    change,
                    bytes: *bytes,
                    before: *before,
                    after: *after,
                },
            ),
        };
        (name, Self { at: entry.at.into(), what })
    }
}
