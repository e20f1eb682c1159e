//! What people see of a journal: its entries one by one, and the two calls of a mismatch in words.

use bytes::Bytes;

use super::Hash;
use crate::ids::{Fuel, Timestamp};

/// One entry, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayEntry {
    /// Its place in the journal, from 1. Where a step is completed or tried again, what is after its beginning is
    /// numbered anew.
    pub seq: u64,
    /// The call's name, e.g. `http.fetch`; `step-begun`, `step-done` or `step-gave-up` for a step.
    pub kind: &'static str,
    /// The step that it is, or is in: names from the outside in, `order/charge#2` for the second of its name; empty outside
    /// of any.
    pub step: String,
    /// Which attempt of a step this is,
    pub attempt: Option<u32>,
    /// and when it may begin.
    pub not_before: Option<Timestamp>,
    /// When it was recorded.
    pub at: Timestamp,
    /// The run's fuel at that time.
    pub fuel: Fuel,
    /// The length of the result, in bytes.
    pub size: u64,
    /// The answer as it is stored.
    pub result: Bytes,
    /// The hash of the request.
    pub hash: Option<Hash>,
    /// The request as far as it was kept for people.
    pub request: Option<Bytes>,
}

/// What the guest does is not what its journal holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("where the journal holds {recorded}, the run now asks for {called} (entry {seq})")]
pub struct Mismatch {
    /// The place in the journal, from 1.
    pub seq: u64,
    /// What the journal holds there.
    pub recorded: Box<CallDescription>,
    /// What the guest asked for.
    pub called: Box<CallDescription>,
}

/// A call in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDescription {
    /// The call's name, or what happens to a step.
    pub kind: &'static str,
    /// The hash of its request.
    pub request: Option<Hash>,
    /// The step that it is or is in; empty outside of any.
    pub step: String,
    /// The request as far as it was kept for people.
    pub shown: Option<Bytes>,
}

impl std::fmt::Display for CallDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind)?;
        if let Some(request) = &self.request {
            f.write_str(" ")?;
            for byte in &request[..4] {
                write!(f, "{byte:02x}")?;
            }
            f.write_str("…")?;
        }
        if !self.step.is_empty() {
            write!(f, " in step `{}`", self.step)?;
        }
        Ok(())
    }
}

/// What is stored is no journal of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk {chunk} of the journal is damaged: {what}")]
pub struct JournalDamage {
    /// Which chunk, from 0.
    pub chunk: u32,
    /// What is wrong with it.
    pub what: &'static str,
}
