//! Runs that wait in memory for what will wake them, each in the hands of its own work: a run that is claimed while it is
//! still here goes on where it stands, without replay.
//!
//! Invariant: whoever takes a run out of the map decides what becomes of it, the dispatcher that claimed it or whoever
//! wants its room. A work enters itself before the commit that suspends it, so that no wake-up can pass it by.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_core::RunId;
use tidemill_core::run::Run;
use tokio::sync::oneshot;

use crate::deployment::active::ActiveDeployment;
use crate::deployment::limiter::Permit;

/// What ends a wait in memory: the run is claimed and running again; or, with none, its room is needed, so that it leaves
/// memory and replays when it is claimed.
pub(crate) type WakeReason = Option<Box<ResumedRun>>;

/// A claimed run with what it needs to go on.
#[derive(Debug)]
pub(crate) struct ResumedRun {
    pub(crate) run: Run,
    pub(crate) live: Arc<ActiveDeployment>,
    pub(crate) permit: Permit,
}

/// All that wait in memory.
#[derive(Debug, Default)]
pub(crate) struct ResidentRuns(Mutex<ResidentTable>);

#[derive(Debug, Default)]
struct ResidentTable {
    runs: HashMap<RunId, (u64, oneshot::Sender<WakeReason>)>,
    /// By age, oldest first.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a run; where more than `most` are here then, the oldest leave.
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
                // One who does not listen any more has left already.
                let _ = sender.send(None);
            }
        }
        receiver
    }

    /// Hands a claimed run to the work that waits with it.
    ///
    /// # Errors
    /// Gives it back where there is none.
    pub(crate) fn resume(&self, resumed: Box<ResumedRun>) -> Result<(), Box<ResumedRun>> {
        let Some(sender) = self.rows().take(resumed.run.id) else { return Err(resumed) };
        match sender.send(Some(resumed)) {
            Err(Some(resumed)) => Err(resumed),
            _ => Ok(()),
        }
    }

    /// Takes a run out; false where it is out already and its receiver hears why.
    pub(crate) fn leave(&self, id: RunId) -> bool {
        self.rows().take(id).is_some()
    }

    /// Everybody leaves.
    pub(crate) fn clear(&self) {
        let rows = std::mem::take(&mut *self.rows());
        for (_, sender) in rows.runs.into_values() {
            let _ = sender.send(None);
        }
    }

    /// How many wait here.
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
    async fn the_oldest_leave_where_there_is_no_room() {
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
    async fn with_no_room_at_all_nobody_stays() {
        let waiting = ResidentRuns::default();
        assert!(waiting.enter(run(1), 0).await.unwrap().is_none());
        let kept = waiting.enter(run(2), 9);
        waiting.clear();
        assert!(kept.await.unwrap().is_none());
        assert_eq!(waiting.len(), 0);
    }
}
