//! An event as it is sent.

use serde::Serialize;
use tidemill_core::{RunId, Topic};
use tidemill_store::records::{FeedEntry, FeedEvent};
use utoipa::ToSchema;

use crate::wire::TimeJson;

/// One thing that happened. The event's name in the feed is `run`, `deployment`, `schedule`, `subscription`, `posted` or `state`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct FeedEventJson<'a> {
    /// When it was committed.
    at: TimeJson,
    /// What it was.
    #[serde(flatten)]
    what: FeedDetailJson<'a>,
}

/// What happened; which of these, the event's name says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventData)]
#[serde(untagged)]
pub enum FeedDetailJson<'a> {
    /// `run`: a run came into a state.
    Run {
        /// The run.
        #[schema(value_type = String)]
        run: RunId,
        /// Its deployment.
        deployment: &'a str,
        /// Its export.
        export: &'static str,
        /// What started it.
        trigger: &'static str,
        /// The state.
        state: &'a str,
        /// The code of its failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        /// Which attempt.
        attempt: u32,
        /// Work done so far.
        fuel: u64,
        /// The most memory held, in bytes.
        peak_memory: u64,
        /// From being taken up to now, in milliseconds.
        took_millis: u64,
    },
    /// `deployment`: one was `put`, `paused`, `resumed` or `deleted`.
    Deployment {
        /// The deployment.
        deployment: &'a str,
        /// Its revision.
        revision: u64,
        /// What was done.
        change: &'a str,
    },
    /// `schedule`: one was `paused`, `resumed`, `resynced`, `rescheduled` (zone data changed) or has `ended`, or firings were `skipped`,
    /// `dropped`, `late`, `missed`.
    Schedule {
        /// The deployment.
        deployment: &'a str,
        /// The schedule.
        schedule: &'a str,
        /// What was done.
        change: &'a str,
        /// How many firings it concerns.
        firings: u64,
        /// Why, where somebody said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// `subscription`: one was `paused` or `resumed`, or events were `lost`, `skipped` or are `replayed`.
    Subscription {
        /// The deployment.
        deployment: &'a str,
        /// The subscription.
        subscription: &'a str,
        /// Of which topic; left out where they are of several.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        /// What was done, or what became of them.
        change: &'a str,
        /// How many events.
        events: u64,
        /// Why, where somebody said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// `clock`: the host's clock was set back, and schedules are silent because the times that it shows were dealt with before.
    Clock {
        /// How far back, in milliseconds.
        back_ms: u64,
        /// How many schedules are silent.
        schedules: u64,
        /// When the last of them fires again.
        until: TimeJson,
    },
    /// `posted`: a stretch posted to the ledger.
    Posted {
        /// The stream.
        stream: &'a str,
        /// The run that posted.
        #[schema(value_type = String)]
        run: RunId,
        /// The currency.
        currency: &'a str,
        /// How many entries.
        entries: u64,
        /// What they add to net revenue, in minor units.
        net_revenue: i64,
    },
    /// `state`: a value of a deployment's state was `set` or `deleted` by hand.
    State {
        /// The deployment.
        deployment: &'a str,
        /// The key.
        key: &'a str,
        /// What was done.
        change: &'a str,
        /// The size of the new value; 0 if it was deleted.
        bytes: u64,
        /// The version that the value had before; 0 if there was none.
        before: u64,
        /// The version that it has now; 0 if it was deleted.
        after: u64,
    },
}

impl<'a> FeedEventJson<'a> {
    /// The event's name, and what is sent.
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
