//! Runs that wait in memory, each with its execution. A run that is claimed while it is resident
//! resumes without a replay.
//!
//! Invariant: the code that takes a run out of the table decides its fate: the dispatcher that
//! claimed it, the run that needs its room, or the recycling of its deployment. An execution
//! registers itself before the commit that suspends it, so that no wake-up misses it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId};
use tokio::sync::oneshot;

use crate::deployment::active::ActiveDeployment;
use crate::deployment::limiter::Permit;

/// Why a wait in memory ends: the run was claimed and resumes, or (`None`) its room is needed or
/// its deployment is recycled, so that it leaves memory and replays when it is claimed.
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
    runs: HashMap<RunId, ResidentRun>,
    /// The runs by age, oldest first.
    ages: BTreeMap<u64, RunId>,
    next: u64,
}

#[derive(Debug)]
struct ResidentRun {
    deployment: DeploymentName,
    age: u64,
    sender: oneshot::Sender<WakeReason>,
}

impl ResidentTable {
    fn take(&mut self, id: RunId) -> Option<oneshot::Sender<WakeReason>> {
        let ResidentRun { age, sender, .. } = self.runs.remove(&id)?;
        self.ages.remove(&age);
        Some(sender)
    }
}

impl ResidentRuns {
    fn rows(&self) -> MutexGuard<'_, ResidentTable> {
        self.0.lock()
    }

    /// Registers a run of a deployment. If there are more than `most` runs then, the oldest leave.
    pub(crate) fn enter(&self, id: RunId, deployment: DeploymentName, most: usize) -> oneshot::Receiver<WakeReason> {
        let (sender, receiver) = oneshot::channel();
        let mut rows = self.rows();
        let age = rows.next;
        rows.next += 1;
        if let Some(old) = rows.runs.insert(id, ResidentRun { deployment, age, sender }) {
            rows.ages.remove(&old.age);
        }
        rows.ages.insert(age, id);
        while rows.runs.len() > most {
            let Some((_, oldest)) = rows.ages.pop_first() else { break };
            if let Some(run) = rows.runs.remove(&oldest) {
                // A receiver that is gone has left already.
                let _ = run.sender.send(None);
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

    /// Makes the runs of a deployment leave memory. Returns how many.
    pub(crate) fn evict(&self, deployment: &DeploymentName) -> usize {
        let mut rows = self.rows();
        let ResidentTable { runs, ages, .. } = &mut *rows;
        let mut count = 0;
        for (_, run) in runs.extract_if(|_, run| run.deployment == *deployment) {
            ages.remove(&run.age);
            count += usize::from(run.sender.send(None).is_ok());
        }
        count
    }

    /// Makes all runs leave memory.
    pub(crate) fn clear(&self) {
        let rows = std::mem::take(&mut *self.rows());
        for run in rows.runs.into_values() {
            let _ = run.sender.send(None);
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

    fn shop() -> DeploymentName {
        "shop".parse().unwrap()
    }

    #[tokio::test]
    async fn the_oldest_runs_leave_if_there_is_no_room() {
        let waiting = ResidentRuns::default();
        let mut first = waiting.enter(run(1), shop(), 2);
        let mut second = waiting.enter(run(2), shop(), 2);
        assert!(first.try_recv().is_err());
        let _third = waiting.enter(run(3), shop(), 2);
        assert!(first.await.unwrap().is_none());
        assert!(second.try_recv().is_err());
        assert!(!waiting.leave(run(1)) && waiting.leave(run(2)));
        assert_eq!(waiting.len(), 1);
        assert!(second.await.is_err());
    }

    #[tokio::test]
    async fn runs_leave_at_once_without_room_and_on_clear() {
        let waiting = ResidentRuns::default();
        assert!(waiting.enter(run(1), shop(), 0).await.unwrap().is_none());
        let kept = waiting.enter(run(2), shop(), 9);
        waiting.clear();
        assert!(kept.await.unwrap().is_none());
        assert_eq!(waiting.len(), 0);
    }

    #[tokio::test]
    async fn only_the_runs_of_the_evicted_deployment_leave() {
        let waiting = ResidentRuns::default();
        let (first, second) = (waiting.enter(run(1), shop(), 9), waiting.enter(run(2), shop(), 9));
        let mut other = waiting.enter(run(3), "other".parse().unwrap(), 9);
        assert_eq!(waiting.evict(&shop()), 2);
        assert!(first.await.unwrap().is_none() && second.await.unwrap().is_none());
        assert!(other.try_recv().is_err());
        assert_eq!((waiting.evict(&shop()), waiting.len()), (0, 1));
    }
}
