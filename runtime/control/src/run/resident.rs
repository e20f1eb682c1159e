//! Runs that wait in memory, each with its execution. A run that is claimed while it is resident
//! resumes without a replay.
//!
//! Invariant: the code that takes a run out of the table decides its fate: the dispatcher that
//! claimed it, or the run that needs its room. An execution registers itself before the commit that
//! suspends it, so that no wake-up misses it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::RunId;
use tidemill_core::run::Run;
use tokio::sync::oneshot;

use crate::deployment::active::ActiveDeployment;
use crate::deployment::limiter::Permit;

/// Why a wait in memory ends: the run was claimed and resumes, or (`None`) its room is needed, so
/// that it leaves memory and replays when it is claimed.
pub(crate) type WakeReason = Option<Box<ResumedRun>>;

/// A claimed run with what it needs to resume.
#[derive(Debug)]
pub(crate) struct ResumedRun {
    pub(crate) run: Run,
    pub(crate) live: Arc<ActiveDeployment>,
    pub(crate) permit: Permit,
}

/// All runs that wait in memory.
#[derive(Debug, Default)]
pub(crate) struct ResidentRuns(Mutex<ResidentTable>);

#[derive(Debug, Default)]
struct ResidentTable {
    runs: HashMap<RunId, (u64, oneshot::Sender<WakeReason>)>,
    /// The runs by age, oldest first.
    ages: BTreeMap<u64, RunId>,
    next: u64,
}

impl ResidentTable {
    fn take(&mut self, id: RunId) -> Option<oneshot::Sender<WakeReason>> {
        let (age, sender) = self.runs.remove(&id)?;
        self.ages.remove(&age);
        Some(sender)
    }
}

impl ResidentRuns {
    fn rows(&self) -> MutexGuard<'_, ResidentTable> {
        self.0.lock()
    }

    /// Registers a run. If there are more than `most` runs then, the oldest leave.
    pub(crate) fn enter(&self, id: RunId, most: usize) -> oneshot::Receiver<WakeReason> {
        let (sender, receiver) = oneshot::channel();
        let mut rows = self.rows();
        let age = rows.next;
        rows.next += 1;
        if let Some((old, _)) = rows.runs.insert(id, (age, sender)) {
            rows.ages.remove(&old);
        }
        rows.ages.insert(age, id);
        while rows.runs.len() > most {
            let Some((_, oldest)) = rows.ages.pop_first() else { break };
            if let Some((_, sender)) = rows.runs.remove(&oldest) {
                // A receiver that is gone has left already.
                let _ = sender.send(None);
            }
        }
        receiver
    }

    /// Passes a claimed run to its resident execution.
    ///
    /// # Errors
    /// Returns the run if it is not resident.
    pub(crate) fn resume(&self, resumed: Box<ResumedRun>) -> Result<(), Box<ResumedRun>> {
        let Some(sender) = self.rows().take(resumed.run.id) else { return Err(resumed) };
        match sender.send(Some(resumed)) {
            Err(Some(resumed)) => Err(resumed),
            _ => Ok(()),
        }
    }

    /// Removes a run. Returns `false` if it was removed before, and its receiver gets the reason.
    pub(crate) fn leave(&self, id: RunId) -> bool {
        self.rows().take(id).is_some()
    }

    /// Makes all runs leave memory.
    pub(crate) fn clear(&self) {
        let rows = std::mem::take(&mut *self.rows());
        for (_, sender) in rows.runs.into_values() {
            let _ = sender.send(None);
        }
    }

    /// Returns the number of resident runs.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.rows().runs.len()
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::Timestamp;

    use super::*;

    fn run(number: u128) -> RunId {
        RunId::new(Timestamp::default(), number)
    }

    #[tokio::test]
    async fn the_oldest_runs_leave_if_there_is_no_room() {
        let waiting = ResidentRuns::default();
        let mut first = waiting.enter(run(1), 2);
        let mut second = waiting.enter(run(2), 2);
        assert!(first.try_recv().is_err());
        let _third = waiting.enter(run(3), 2);
        assert!(first.await.unwrap().is_none());
        assert!(second.try_recv().is_err());
        assert!(!waiting.leave(run(1)) && waiting.leave(run(2)));
        assert_eq!(waiting.len(), 1);
        assert!(second.await.is_err());
    }

    #[tokio::test]
    async fn runs_leave_at_once_without_room_and_on_clear() {
        let waiting = ResidentRuns::default();
        assert!(waiting.enter(run(1), 0).await.unwrap().is_none());
        let kept = waiting.enter(run(2), 9);
        waiting.clear();
        assert!(kept.await.unwrap().is_none());
        assert_eq!(waiting.len(), 0);
    }
}
