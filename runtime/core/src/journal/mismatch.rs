//! A journal's entries for people, and a mismatch between a recorded and an actual call.

use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::Hash;
use crate::ids::{Fuel, Timestamp};

/// One entry for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayEntry {
    /// Number of the entry in the journal, from 1. If a step completes or is retried, the numbers
    /// after its beginning are reused.
    pub seq: u64,
    /// Name of the call, such as `http.fetch`; `step-begun`, `step-done` or `step-gave-up` for a
    /// step.
    pub kind: &'static str,
    /// The step that it is or is inside of: names from the outside in, such as `order/charge#2`
    /// for the second step with that name. Empty outside of all steps.
    pub step: String,
    /// Number of the step's attempt.
    pub attempt: Option<u32>,
    /// Earliest time of that attempt.
    pub not_before: Option<Timestamp>,
    /// When it was recorded.
    pub at: Timestamp,
    /// The run's fuel at that time.
    pub fuel: Fuel,
    /// Size of the result, in bytes.
    pub size: u64,
    /// The stored answer.
    pub result: Bytes,
    /// Hash of the request.
    pub hash: Option<Hash>,
    /// The part of the request that is kept for people.
    pub request: Option<Bytes>,
}

/// The guest's call differs from the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal holds {recorded}, but the run called {called} (entry {seq})")]
pub struct Mismatch {
    /// Number of the entry in the journal, from 1.
    pub seq: u64,
    /// The call in the journal.
    pub recorded: Box<CallDescription>,
    /// The call of the guest.
    pub called: Box<CallDescription>,
}

/// Description of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDescription {
    /// Name of the call, or the event of a step.
    pub kind: &'static str,
    /// Hash of its request.
    pub request: Option<Hash>,
    /// The step that it is or is inside of; empty outside of all steps.
    pub step: String,
    /// The part of the request that is kept for people.
    pub shown: Option<Bytes>,
}

impl std::fmt::Display for CallDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind)?;
        if let Some(request) = &self.request {
            write!(f, " {}…", HEXLOWER.encode_display(&request[..4]))?;
        }
        if !self.step.is_empty() {
            write!(f, " in step `{}`", self.step)?;
        }
        Ok(())
    }
}

/// The stored bytes are not a journal of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk {chunk} of the journal is damaged: {what}")]
pub struct JournalDamage {
    /// Index of the chunk.
    pub chunk: u32,
    /// What is wrong with it.
    pub what: &'static str,
}
