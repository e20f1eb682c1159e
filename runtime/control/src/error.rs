//! How the host refuses a request: one enum for all of control, with a stable code and a fix for
//! each case.

use tidemill_core::wire::InputProblem;
use tidemill_core::{Code, DeliveryId, DeploymentName, RunId, ScheduleName, SubscriptionName};
use tidemill_engine::ComponentRejection;
use tidemill_store::StoreError;
use tidemill_vault::VaultError;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// The store refused the request, or failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The request cannot be carried out.
    #[error("{detail}")]
    Refused {
        /// The stable code.
        code: Code,
        /// One sentence for the caller.
        detail: String,
        /// How to fix it; `None` selects the fix of the code.
        fix: Option<String>,
    },
    /// The circuit breaker of the deployment is open, and the caller waits for a result.
    #[error("{detail}")]
    CircuitOpen {
        /// One sentence for the caller, with the reason.
        detail: String,
        /// How to fix it; `None` selects the fix of the code.
        fix: Option<String>,
        /// The time after which another request makes sense, in seconds.
        retry_after: u64,
    },
    /// The input has several problems.
    #[error("{}", .problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))]
    Problems {
        /// The code of the whole request.
        code: Code,
        /// The problems; at least one.
        problems: Vec<InputProblem>,
    },
}

impl ControlError {
    /// Returns a refusal with the fix of its code.
    #[must_use]
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into(), fix: None }
    }

    /// Returns a refusal with a fix of its own.
    #[must_use]
    pub fn refused_with(code: Code, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Refused { code, .. } | Self::Problems { code, .. } => *code,
            Self::CircuitOpen { .. } => Code::CircuitOpen,
        }
    }

    /// Returns how to fix the problem.
    #[must_use]
    pub fn fix(&self) -> &str {
        match self {
            Self::Refused { fix: Some(fix), .. } | Self::CircuitOpen { fix: Some(fix), .. } => fix,
            // The code's own fix refers to a list, and this is a single problem.
            Self::Refused { code: Code::BadField, .. } => "Correct it as the message describes.",
            Self::Problems { problems, .. } if problems.len() == 1 => {
                problems.first().map_or(self.code().fix(), |problem| &problem.fix)
            }
            _ => self.code().fix(),
        }
    }

    /// Returns the refusal of an unknown deployment.
    #[must_use]
    pub fn no_deployment(name: &DeploymentName) -> Self {
        Self::refused(Code::DeploymentNotFound, format!("there is no deployment `{name}`"))
    }

    /// Returns the refusal of an unknown run.
    #[must_use]
    pub fn no_run(id: RunId) -> Self {
        Self::refused(Code::RunNotFound, format!("there is no run {id}"))
    }

    /// Returns the refusal of an unknown schedule.
    #[must_use]
    pub fn no_schedule(deployment: &DeploymentName, name: &ScheduleName) -> Self {
        Self::refused(Code::ScheduleNotFound, format!("deployment `{deployment}` has no schedule `{name}`"))
    }

    /// Returns the refusal of an unknown subscription.
    #[must_use]
    pub fn no_subscription(deployment: &DeploymentName, name: &SubscriptionName) -> Self {
        Self::refused(Code::SubscriptionNotFound, format!("deployment `{deployment}` has no subscription `{name}`"))
    }

    /// Returns the refusal of an unknown delivery.
    #[must_use]
    pub fn no_delivery(id: DeliveryId) -> Self {
        Self::refused(Code::DeliveryNotFound, format!("there is no delivery {id}"))
    }

    pub(crate) fn queue_full(deployment: &DeploymentName, queued: u64, most: u64) -> Self {
        Self::refused(
            Code::QueueFull,
            format!("the queue of `{deployment}` is full: {queued} of at most {most} runs wait"),
        )
    }

    pub(crate) fn shutting_down() -> Self {
        Self::refused(Code::ShuttingDown, "the host is shutting down")
    }
}

impl From<VaultError> for ControlError {
    fn from(error: VaultError) -> Self {
        Self::refused(error.code(), error.to_string())
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
