//! Which error of the host becomes which problem. The only file that maps them.

use tidemill_control::ControlError;
use tidemill_core::Code;
use tidemill_store::StoreError;

use crate::problem::Problem;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::NotFound { kind, .. } => Self::new(not_found(kind), detail),
            StoreError::VersionTaken { .. } => Self::new(Code::VersionHasOtherBytes, detail),
            StoreError::InUse { users } => Self::new(Code::ComponentInUse, detail)
                .users(users.iter().map(|user| user.as_str().to_owned()).collect()),
            StoreError::RevisionChanged { present } => {
                let detail = match present {
                    Some(revision) => format!("the deployment is at revision {revision}"),
                    None => "there is no such deployment".to_owned(),
                };
                Self::new(Code::PreconditionFailed, detail).revision(present.map(|revision| revision.get()))
            }
            StoreError::RunsGoing { .. } => Self::new(Code::DeploymentInUse, detail),
            StoreError::KeyMismatch { run } => Self::new(Code::IdempotencyMismatch, detail).run(run),
            StoreError::QueueFull { .. } => Self::new(Code::QueueFull, detail),
            StoreError::EventKeyMismatch { .. } => Self::new(Code::IdempotencyMismatch, detail),
            StoreError::IllegalTransition(_) => Self::new(Code::RunState, detail),
            StoreError::StaleEpoch { run } => Self::new(Code::RunState, detail).run(run),
            StoreError::DiskFull => Self::new(Code::DiskFull, "there is no room left for what was asked"),
            // What happened to the machine's files is for the log.
            StoreError::ReadOnly { why } => {
                Self::new(Code::StoreReadOnly, "the store takes no writes until the host is restarted").log(why)
            }
            StoreError::Damaged { what } => {
                Self::new(Code::StoreDamaged, "something stored is not what was stored").log(what)
            }
            StoreError::Locked { holder } => Self::new(Code::StoreLocked, "another process uses the store").log(holder),
            StoreError::Closed => Self::new(Code::ShuttingDown, "the host is shutting down"),
            StoreError::InboxFull { run, .. } => Self::new(Code::LimitSignals, detail).run(run),
            StoreError::TooLarge(what) => Self::new(Code::BodyTooLarge, what),
            StoreError::Io(what) => Self::new(Code::StoreUnavailable, "the store could not be reached").log(what),
        }
    }
}

/// The code for a kind of thing that the store does not have.
fn not_found(kind: &str) -> Code {
    match kind {
        "deployment" | "revision" | "stream" => Code::DeploymentNotFound,
        "module" | "version" => Code::ModuleNotFound,
        "component" => Code::ComponentNotFound,
        "run" => Code::RunNotFound,
        "schedule" => Code::ScheduleNotFound,
        "subscription" => Code::SubscriptionNotFound,
        _ => Code::PathNotFound,
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => error.into(),
            ControlError::Refused { code, detail, fix } => {
                let problem = Self::new(code, detail);
                fix.into_iter().fold(problem, Self::fix)
            }
            ControlError::Problems { code, problems } => Self::of_fields(code, problems),
        }
    }
}
