//! Pauses and resumes many schedules at once, as an operation.

use tidemill_core::{Code, DeploymentName};
use tidemill_store::records::{Operation, PageRequest, Schedule, Task};

use crate::error::ControlError;
use crate::operation::{same_task, start_once};
use crate::state::ControlPlane;
use crate::validate::checked_note;

/// Number of schedules per page, after which an operation stores its progress.
const PAGE: usize = 200;

/// Selects schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// Only schedules of this deployment.
    pub deployment: Option<DeploymentName>,
    /// Only schedules of deployments with all these labels.
    pub labels: Vec<(String, String)>,
}

impl ControlPlane {
    /// Starts to pause all schedules that match the filter with the note `pause`, or to resume them
    /// if it is `None`. Schedules that are created while it runs may be included.
    ///
    /// The same `key` returns the same operation.
    ///
    /// # Errors
    /// `host/bad-field` if the note is too long; `host/idempotency-mismatch` if the key started
    /// another action; errors of the store.
    pub async fn update_schedules(
        &self,
        filter: ScheduleFilter,
        pause: Option<String>,
        key: Option<String>,
    ) -> Result<Operation, ControlError> {
        self.0.shutdown.check_open()?;
        let pause = pause.map(checked_note).transpose()?;
        let task = Task::Schedules { pause, deployment: filter.deployment, labels: filter.labels };
        let operation = start_once(task.clone(), "schedules", key.as_deref(), self.0.clock.now())?;
        same_task(self.begin(operation).await?, &task)
    }

    /// Executes one page of the operation.
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

    /// Returns the schedules on the operation's next page that match its filter, and the cursor of
    /// the page after it.
    pub(crate) async fn matching_schedules(
        &self,
        operation: &mut Operation,
        deployment: Option<&DeploymentName>,
        labels: &[(String, String)],
    ) -> Result<(Vec<Schedule>, Option<Vec<u8>>), ControlError> {
        let page = PageRequest { cursor: operation.cursor.take(), limit: PAGE };
        let mut found = self.0.store.schedules(deployment, page).await?;
        found.items.retain(|schedule| {
            let live = self.0.deployments.get(&schedule.deployment);
            live.is_some_and(|live| labels.iter().all(|label| live.plan.labels.contains(label)))
        });
        Ok((found.items, found.next))
    }

    /// Pauses or resumes one schedule. Returns `false` if it is in that state already or was
    /// deleted.
    async fn update_schedule(&self, schedule: &Schedule, pause: Option<&str>) -> Result<bool, ControlError> {
        let Schedule { deployment, name, .. } = schedule;
        let updated = match pause {
            // Keep the note of the earlier pause.
            Some(_) if schedule.paused.is_some() => return Ok(false),
            Some(note) => self.pause_schedule(deployment, name, note.to_owned()).await,
            None => self.resume_schedule(deployment, name).await,
        };
        was_applied(schedule, updated)
    }
}

/// Returns whether an operation acted on a schedule; `false` if its state did not allow it.
pub(crate) fn was_applied(schedule: &Schedule, done: Result<Schedule, ControlError>) -> Result<bool, ControlError> {
    let Schedule { deployment, name, .. } = schedule;
    match done {
        Ok(_) => Ok(true),
        Err(ControlError::Store(error)) if error.is_transient() => Err(error.into()),
        Err(error) if error.code() == Code::ShuttingDown => Err(error),
        Err(error) => {
            tracing::info!(%deployment, schedule = %name, %error, "operation skipped a schedule");
            Ok(false)
        }
    }
}
