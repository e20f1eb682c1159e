//! Maps errors of the host to problems. The only file that does.

use tidemill_control::ControlError;
use tidemill_core::Code;
use tidemill_store::StoreError;
use tidemill_store::records::Version;

use crate::problem::Problem;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            StoreError::NotFound { .. }
            | StoreError::VersionTaken { .. }
            | StoreError::UnendedRuns { .. }
            | StoreError::QueueFull { .. }
            | StoreError::OverBound { .. }
            | StoreError::EventKeyMismatch { .. }
            | StoreError::ExternalIdTaken { .. }
            | StoreError::EffectImpossible { .. }
            | StoreError::IllegalTransition(_) => Self::new(code, detail),
            StoreError::InUse { users } => {
                Self::new(code, detail).users(users.iter().map(|user| user.as_str().to_owned()).collect())
            }
            StoreError::RevisionChanged { present } => {
                let detail = match present {
                    Some(revision) => format!("the deployment is at revision {revision}"),
                    None => "there is no such deployment".to_owned(),
                };
                Self::new(code, detail).revision(present.map(|revision| revision.get()))
            }
            StoreError::ValueChanged { present } => {
                let detail = match present {
                    Version::ABSENT => "there is no value under this key".to_owned(),
                    Version(version) => format!("the value has version {version}"),
                };
                Self::new(code, detail)
            }
            StoreError::IncidentChanged { .. } => Self::new(code, detail),
            StoreError::KeyMismatch { run }
            | StoreError::SignalKeyMismatch { run }
            | StoreError::KeyOutlivesRun { run }
            | StoreError::InboxFull { run, .. } => Self::new(code, detail).run(run),
            // To a caller, the run is in a state that does not allow the request.
            StoreError::StaleEpoch { run } => Self::new(Code::RunState, detail).run(run),
            // A commit is too large because of what the caller sent.
            StoreError::TooLarge(what) => Self::new(Code::BodyTooLarge, what),
            StoreError::DiskFull => Self::new(code, "the disk is full"),
            // Details of the machine's files belong in the log only.
            StoreError::ReadOnly { why } => {
                Self::new(code, "the store is read-only until the host is restarted").log(why)
            }
            StoreError::Damaged { what } => Self::new(code, "stored data is damaged").log(what),
            StoreError::Locked { holder } => Self::new(code, "another process uses the store").log(holder),
            StoreError::Closed => Self::new(code, "the host is shutting down"),
            StoreError::Io(what) => Self::new(code, "the store could not be reached").log(what),
        }
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
            ControlError::CircuitOpen { detail, fix, retry_after } => {
                let problem = Self::new(Code::CircuitOpen, detail).retry_after(retry_after);
                fix.into_iter().fold(problem, Self::fix)
            }
            ControlError::Problems { code, problems } => Self::of_fields(code, problems),
        }
    }
}
