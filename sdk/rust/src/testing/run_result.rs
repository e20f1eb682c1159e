//! The result of a run in a test: its end and everything that it left.

use super::journal::Recording;
use super::ledger::LedgerEntry;
use super::web::SentRequest;
use super::world::{
    Line, MetricSample, OperatedDeployment, OperatorCall, PublishedEvent, SentSignal, StartedRun, World,
};
use crate::durable::WaitFor;
use crate::{Error, Timestamp, json};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End<T> {
    /// It succeeded with this output.
    Succeeded(T),
    /// It failed with this failure. If no attempt is left, it is `host/retries-exhausted` with the
    /// last failure in its details. A host parks or fails such a run.
    Failed(Error),
    /// It received its cancellation and ended.
    Cancelled,
    /// It continues as new with this input, more often than the harness allows.
    Continues(Value),
    /// It waits without a timeout for one of these, and none of them ever arrives.
    Waits(Vec<WaitFor>),
}

/// The result of a run.
#[derive(Debug)]
pub struct RunResult<T> {
    pub(super) end: End<T>,
    pub(super) deployment: String,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) attempts: u32,
    pub(super) generation: u32,
    pub(super) entries: u64,
    pub(super) recording: Recording,
    pub(super) world: World,
}

impl<T> RunResult<T> {
    /// Returns how the run ended.
    #[must_use]
    pub fn end(&self) -> &End<T> {
        &self.end
    }

    /// Returns the output.
    ///
    /// # Panics
    /// If the run did not succeed. The test fails and prints how the run ended.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn succeeded(&self) -> &T {
        match &self.end {
            End::Succeeded(output) => output,
            other => panic!("the run did not succeed: {}", describe(other)),
        }
    }

    /// Returns the failure.
    ///
    /// # Panics
    /// If the run did not fail. The test fails and prints how the run ended.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn failed(&self) -> &Error {
        match &self.end {
            End::Failed(error) => error,
            other => panic!("the run did not fail: {}", describe(other)),
        }
    }

    /// Whether the run received its cancellation and ended.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        matches!(self.end, End::Cancelled)
    }

    /// Returns a committed value in the deployment's state.
    ///
    /// # Panics
    /// If the value does not match `V`. The test fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn state<V: DeserializeOwned>(&self, key: &str) -> Option<V> {
        let bytes = self.world.state.get(&self.deployment)?.get(key)?;
        Some(json::decode_bytes(bytes).unwrap_or_else(|why| panic!("the state at `{key}`: {why}")))
    }

    /// Returns the whole committed state of a deployment.
    #[must_use]
    pub fn state_of(&self, deployment: &str) -> BTreeMap<String, Vec<u8>> {
        self.world.state.get(deployment).cloned().unwrap_or_default()
    }

    /// Returns the committed ledger, ordered by stream and external id.
    pub fn ledger(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.world.ledger.values()
    }

    /// Returns all requests that were sent, with one entry per try.
    #[must_use]
    pub fn requests(&self) -> &[SentRequest] {
        &self.world.sent
    }

    /// Returns the effects on the outside world: requests other than `GET` and `HEAD`. Requests
    /// with the same `Idempotency-Key` count as one.
    #[must_use]
    pub fn effects(&self) -> Vec<&SentRequest> {
        let mut keys = BTreeSet::new();
        self.world
            .sent
            .iter()
            .filter(|sent| sent.is_effect() && sent.key().is_none_or(|key| keys.insert(key)))
            .collect()
    }

    /// Returns the published events.
    #[must_use]
    pub fn events(&self) -> &[PublishedEvent] {
        &self.world.events
    }

    /// Returns the signals sent to other runs.
    #[must_use]
    pub fn signals(&self) -> &[SentSignal] {
        &self.world.signals
    }

    /// Returns the runs that it started, and the runs that those started.
    pub fn children(&self) -> impl Iterator<Item = &StartedRun> {
        self.world.children.iter().map(|child| &child.started)
    }

    /// Returns the runs that it cancelled, by id or `deployment/key`.
    #[must_use]
    pub fn cancels(&self) -> &[String] {
        &self.world.cancels
    }

    /// Returns the actions on other deployments, in order. A repeated call that acted once is there
    /// once.
    #[must_use]
    pub fn operator_calls(&self) -> &[OperatorCall] {
        &self.world.operator_calls
    }

    /// Returns a deployment of [`Harness::operated`](super::Harness::operated) as the run left it.
    #[must_use]
    pub fn operated(&self, deployment: &str) -> Option<&OperatedDeployment> {
        self.world.operated.get(deployment)
    }

    /// Returns the log lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.world.lines
    }

    /// Returns the metric samples.
    #[must_use]
    pub fn metrics(&self) -> &[MetricSample] {
        &self.world.metrics
    }

    /// Returns the last progress: done, total and a note.
    #[must_use]
    pub fn progress(&self) -> Option<(u64, Option<u64>, &str)> {
        self.world.progress.as_ref().map(|(done, total, note)| (*done, *total, note.as_str()))
    }

    /// Returns the last status.
    #[must_use]
    pub fn status(&self) -> Option<&Value> {
        self.world.status.as_ref()
    }

    /// Returns the time at which it ended.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        Timestamp::from_millis(self.ended)
    }

    /// Returns its duration by its own clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.ended.saturating_sub(self.began))
    }

    /// Returns the number of attempts of the run in its last generation.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the number of its last generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the number of entries that it wrote to its journal, including dropped entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns the journal of its last generation, for replay against changed code.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

/// Describes an end regardless of the type of its output.
pub(super) fn describe<T>(end: &End<T>) -> String {
    match end {
        End::Succeeded(_) => "it succeeded".to_owned(),
        End::Failed(error) => format!("it failed with {error}"),
        End::Cancelled => "it was cancelled".to_owned(),
        End::Continues(input) => format!("it continues as new with {input}"),
        End::Waits(waits) => format!("it waits forever for {waits:?}"),
    }
}
