//! What came of a run in a test: how it ended, and everything that it left behind.

use super::journal::Recording;
use super::ledger::Posted;
use super::web::Sent;
use super::world::{Line, Measured, Published, Signalled, Started, World};
use crate::durable::WaitFor;
use crate::{Error, Timestamp, json};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End<T> {
    /// With this output.
    Succeeded(T),
    /// With this failure: its retries are exhausted, or it is not retryable. A host parks or fails such a run.
    Failed(Error),
    /// It was told that it is to end, and did.
    Cancelled,
    /// It goes on as new with this input, once more than the harness lets it.
    Continues(Value),
    /// It waits for one of these, without a timeout, and none of them ever comes.
    Waits(Vec<WaitFor>),
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran<T> {
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

impl<T> Ran<T> {
    /// How it ended.
    #[must_use]
    pub fn end(&self) -> &End<T> {
        &self.end
    }

    /// Its output.
    ///
    /// # Panics
    /// Where it did not succeed: the test fails, and says how it ended.
    #[track_caller]
    #[allow(clippy::panic, reason = "a test fails so")]
    pub fn succeeded(&self) -> &T {
        match &self.end {
            End::Succeeded(output) => output,
            other => panic!("the run did not succeed: {}", told(other)),
        }
    }

    /// Its failure.
    ///
    /// # Panics
    /// Where it did not fail: the test fails, and says how it ended.
    #[track_caller]
    #[allow(clippy::panic, reason = "a test fails so")]
    pub fn failed(&self) -> &Error {
        match &self.end {
            End::Failed(error) => error,
            other => panic!("the run did not fail: {}", told(other)),
        }
    }

    /// Whether it was told that it is to end, and did.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        matches!(self.end, End::Cancelled)
    }

    /// A value in its deployment's state, as it took hold.
    ///
    /// # Panics
    /// Where it does not have the shape of `V`: the test fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a test fails so")]
    pub fn state<V: DeserializeOwned>(&self, key: &str) -> Option<V> {
        let bytes = self.world.state.get(&self.deployment)?.get(key)?;
        Some(json::decode_bytes(bytes).unwrap_or_else(|why| panic!("the state at `{key}`: {why}")))
    }

    /// The whole state of a deployment, as it took hold.
    #[must_use]
    pub fn state_of(&self, deployment: &str) -> BTreeMap<String, Vec<u8>> {
        self.world.state.get(deployment).cloned().unwrap_or_default()
    }

    /// The ledger as it took hold, in the order of streams and external ids.
    pub fn ledger(&self) -> impl Iterator<Item = &Posted> {
        self.world.ledger.values()
    }

    /// All requests as they left, each try of its own.
    #[must_use]
    pub fn requests(&self) -> &[Sent] {
        &self.world.sent
    }

    /// What the outside world was asked to do: requests other than `GET` and `HEAD`, those with one `Idempotency-Key` once.
    #[must_use]
    pub fn effects(&self) -> Vec<&Sent> {
        let mut keys = BTreeSet::new();
        self.world
            .sent
            .iter()
            .filter(|sent| sent.is_effect() && sent.key().is_none_or(|key| keys.insert(key)))
            .collect()
    }

    /// What it published.
    #[must_use]
    pub fn events(&self) -> &[Published] {
        &self.world.events
    }

    /// What it told other runs.
    #[must_use]
    pub fn signals(&self) -> &[Signalled] {
        &self.world.signals
    }

    /// The runs that it started, and those that they did.
    pub fn children(&self) -> impl Iterator<Item = &Started> {
        self.world.children.iter().map(|child| &child.started)
    }

    /// The runs that it asked to end, by id or `deployment/key`.
    #[must_use]
    pub fn cancels(&self) -> &[String] {
        &self.world.cancels
    }

    /// What it logged.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.world.lines
    }

    /// What it measured.
    #[must_use]
    pub fn metrics(&self) -> &[Measured] {
        &self.world.metrics
    }

    /// How far it said that it is: done, of how many, and a note.
    #[must_use]
    pub fn progress(&self) -> Option<(u64, Option<u64>, &str)> {
        self.world.progress.as_ref().map(|(done, total, note)| (*done, *total, note.as_str()))
    }

    /// The status that it showed last.
    #[must_use]
    pub fn status(&self) -> Option<&Value> {
        self.world.status.as_ref()
    }

    /// What time it was when it ended.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        Timestamp::from_millis(self.ended)
    }

    /// How long it took, by its own clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.ended.saturating_sub(self.began))
    }

    /// How often the run itself was tried in its last generation.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Its last generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How many entries it wrote into its journal, those included that were dropped again.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The journal of its last generation, to be replayed against changed code.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

/// An end in words, whatever its output is.
pub(super) fn told<T>(end: &End<T>) -> String {
    match end {
        End::Succeeded(_) => "it succeeded".to_owned(),
        End::Failed(error) => format!("it failed with {error}"),
        End::Cancelled => "it was cancelled".to_owned(),
        End::Continues(input) => format!("it goes on as new with {input}"),
        End::Waits(waits) => format!("it waits for ever, for {waits:?}"),
    }
}
