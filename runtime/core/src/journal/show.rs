//! Reading a journal for people, whatever replay does meanwhile.

use super::record::{Read, Record};
use super::replay::Journal;
use super::seen::ShownEntry;
use super::steps::join;
use crate::ids::{Fuel, Timestamp};

impl Journal {
    /// Up to `limit` entries after the first `after`.
    #[must_use]
    pub fn shown(&self, after: u64, limit: usize) -> Vec<ShownEntry> {
        let mut cursor = self.chunks.find(after);
        while cursor.seq < after {
            if self.chunks.read(&mut cursor).is_none() {
                return Vec::new();
            }
        }
        let mut opened = self.opened.iter().peekable();
        let mut step = String::new();
        let mut entries = Vec::new();
        while entries.len() < limit {
            while let Some(before) = opened.next_if(|opened| opened.mark.records < cursor.seq) {
                step = join(&step, &before.step.name, before.step.ordinal);
            }
            let Some((Read { record, .. }, result, request)) = self.chunks.read_parts(&mut cursor) else { break };
            let of = |name, ordinal| join(&step, name, ordinal);
            let (kind, step, attempt, not_before, hash) = match record {
                Record::Call { kind, request, .. } => (kind.name(), step.clone(), None, None, Some(request)),
                Record::Open { name, ordinal, attempt, not_before } => {
                    let not_before = (not_before > 0).then_some(Timestamp::from_millis(not_before));
                    ("step-begun", of(name, ordinal), Some(attempt), not_before, None)
                }
                Record::Done { name, ordinal, gave_up, .. } => {
                    let kind = if gave_up { "step-gave-up" } else { "step-done" };
                    (kind, of(name, ordinal), None, None, None)
                }
            };
            entries.push(ShownEntry {
                seq: cursor.seq,
                kind,
                step,
                attempt,
                not_before,
                at: Timestamp::from_millis(cursor.context.at),
                fuel: Fuel::new(cursor.context.fuel),
                size: result.len() as u64,
                result,
                hash,
                request,
            });
        }
        entries
    }
}
