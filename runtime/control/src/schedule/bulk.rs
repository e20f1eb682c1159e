//! Pausing and resuming many schedules at once, as an operation.

use tidemill_core::{Code, DeploymentName};
use tidemill_store::records::{Operation, PageRequest, Schedule, Task};

use crate::control_plane::ControlPlane;
use crate::deployment::deploy::checked_note;
use crate::error::ControlError;
use crate::reconcile::operations::{same_task, start_once};

/// Schedules between two notes of where an operation stands.
const PAGE: usize = 200;

/// Which schedules are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// Of this deployment alone.
    pub deployment: Option<DeploymentName>,
    /// Of deployments with all these labels.
    pub labels: Vec<(String, String)>,
}

impl ControlPlane {
    /// Begins to pause all schedules that the filter finds, with that note; or to let them go on, where there is none. Schedules that
    /// are made meanwhile may be among them.
    ///
    /// The same `key` again is the same operation.
    ///
    /// # Errors
    /// `host/bad-field` where the note is too long; `host/idempotency-mismatch` if the key began another action; the store's
    /// own.
    pub async fn update_schedules(
        &self,
        filter: ScheduleFilter,
        pause: Option<String>,
        key: Option<String>,
    ) -> Result<Operation, ControlError> {
        self.0.check_open()?;
        let pause = pause.map(checked_note).transpose()?;
        let task = Task::Schedules { pause, deployment: filter.deployment, labels: filter.labels };
        let asked = start_once(task.clone(), "schedules", key.as_deref(), self.0.clock.now())?;
        same_task(self.begin(asked).await?, &task)
    }

    /// One page of it.
    pub(crate) async fn update_schedule_page(
        &self,
        mut operation: Operation,
        pause: Option<String>,
        deployment: Option<&DeploymentName>,
        labels: &[(String, String)],
    ) -> Result<Operation, ControlError> {
        let (schedules, next) = self.matching_schedules(&mut operation, deployment, labels).await?;
        for schedule in &schedules {
            operation.matched += 1;
            if self.update_schedule(schedule, pause.as_deref()).await? {
                operation.done += 1
            } else {
                operation.failed += 1
            }
        }
        self.page_done(operation, next).await
    }

    /// The schedules of the next page of an operation that its filter finds, and where the page after it begins.
    pub(crate) async fn matching_schedules(
        &self,
        operation: &mut Operation,
        deployment: Option<&DeploymentName>,
        labels: &[(String, String)],
    ) -> Result<(Vec<Schedule>, Option<Vec<u8>>), ControlError> {
        let page = PageRequest { cursor: operation.cursor.take(), limit: PAGE };
        let mut found = self.0.store.schedules(deployment, page).await?;
        found.items.retain(|schedule| {
            let live = self.0.lives.get(&schedule.deployment);
            live.is_some_and(|live| labels.iter().all(|label| live.plan.labels.contains(label)))
        });
        Ok((found.items, found.next))
    }

    /// False where it is paused already, or is not, or is gone.
    async fn update_schedule(&self, schedule: &Schedule, pause: Option<&str>) -> Result<bool, ControlError> {
        let Schedule { deployment, name, .. } = schedule;
        let steered = match pause {
            // Who paused it before had reasons of his own, and they stay to be read.
            Some(_) if schedule.paused.is_some() => return Ok(false),
            Some(note) => self.pause_schedule(deployment, name, note.to_owned()).await,
            None => self.resume_schedule(deployment, name).await,
        };
        acted(schedule, steered)
    }
}

/// Whether an operation acted on a schedule. False if that is in no state for it.
pub(crate) fn acted(schedule: &Schedule, done: Result<Schedule, ControlError>) -> Result<bool, ControlError> {
    let Schedule { deployment, name, .. } = schedule;
    match done {
        Ok(_) => Ok(true),
        Err(ControlError::Store(error)) if error.is_transient() => Err(error.into()),
        Err(error) if error.code() == Code::ShuttingDown => Err(error),
        Err(error) => {
            tracing::info!(%deployment, schedule = %name, %error, "an operation leaves out a schedule");
            Ok(false)
        }
    }
}
