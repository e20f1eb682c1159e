//! How the host refuses: one enum for all that control does, each case with its stable code and what to do next.

use tidemill_core::wire::InputProblem;
use tidemill_core::{Code, DeploymentName, RunId, ScheduleName, SubscriptionName};
use tidemill_engine::ComponentRejection;
use tidemill_store::StoreError;

/// Why something that was asked of the host did not happen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// The store refused it, or failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// It cannot be done as it was asked.
    #[error("{detail}")]
    Refused {
        /// The stable code.
        code: Code,
        /// One sentence for the caller.
        detail: String,
        /// What to do; the code's own where there is nothing better.
        fix: Option<String>,
    },
    /// Several things are wrong with what was sent.
    #[error("{}", .problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))]
    Problems {
        /// The code of the whole.
        code: Code,
        /// Each of them; at least one.
        problems: Vec<InputProblem>,
    },
}

impl ControlError {
    /// A refusal with the fix that its code has.
    #[must_use]
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into(), fix: None }
    }

    /// A refusal with a fix of its own.
    #[must_use]
    pub fn refused_with(code: Code, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Refused { code, .. } | Self::Problems { code, .. } => *code,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn fix(&self) -> &str {
        match self {
            Self::Refused { fix: Some(fix), .. } => fix,
            // The code's own speaks of a list, and here is one thing alone.
            Self::Refused { code: Code::BadField, .. } => "Correct it as the message says.",
            Self::Problems { problems, .. } if problems.len() == 1 => {
                problems.first().map_or(self.code().fix(), |problem| &problem.fix)
            }
            _ => self.code().fix(),
        }
    }

    /// The refusal of a name that no deployment has.
    #[must_use]
    pub fn no_deployment(name: &DeploymentName) -> Self {
        Self::refused(Code::DeploymentNotFound, format!("there is no deployment `{name}`"))
    }

    /// The refusal of an id that no run has.
    #[must_use]
    pub fn no_run(id: RunId) -> Self {
        Self::refused(Code::RunNotFound, format!("there is no run {id}"))
    }

    /// The refusal of a name that no schedule of the deployment has.
    #[must_use]
    pub fn no_schedule(deployment: &DeploymentName, name: &ScheduleName) -> Self {
        Self::refused(Code::ScheduleNotFound, format!("deployment `{deployment}` has no schedule `{name}`"))
    }

    /// The refusal of a name that no subscription of the deployment has.
    #[must_use]
    pub fn no_subscription(deployment: &DeploymentName, name: &SubscriptionName) -> Self {
        Self::refused(Code::SubscriptionNotFound, format!("deployment `{deployment}` has no subscription `{name}`"))
    }

    pub(crate) fn queue_full(deployment: &DeploymentName, queued: u64, most: u64) -> Self {
        Self::refused(Code::QueueFull, format!("{queued} runs of `{deployment}` wait already, of at most {most}"))
    }

    pub(crate) fn shutting_down() -> Self {
        Self::refused(Code::ShuttingDown, "the host is shutting down")
    }
}

impl From<ComponentRejection> for ControlError {
    fn from(refused: ComponentRejection) -> Self {
        let code = refused.problems.first().map_or(Code::ComponentInvalid, |problem| problem.code);
        let problems = refused
            .problems
            .into_iter()
            .map(|problem| InputProblem::field("", problem.message, problem.fix).with_code(problem.code))
            .collect();
        Self::Problems { code, problems }
    }
}
