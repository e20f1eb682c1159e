//! How a store refuses: one enum for all its operations, each variant with its stable code.

use tidemill_core::{Code, ComponentDigest, DeploymentName, EventId, Revision, RunId};

use crate::records::Version;

/// Why an operation of the store did not happen. Whatever it is, nothing of the operation took hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("no {kind} named `{name}`")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The module's version is there, with other bytes.
    #[error("{module}@{version} is there already, with other bytes: {digest}")]
    VersionTaken {
        /// The module's name.
        module: String,
        /// The version.
        version: String,
        /// What it holds.
        digest: ComponentDigest,
    },
    /// Deployments use the component.
    #[error("the component is in use by {}", .users.iter().map(DeploymentName::as_str).collect::<Vec<_>>().join(", "))]
    InUse {
        /// Who uses it, sorted.
        users: Vec<DeploymentName>,
    },
    /// The caller expected another revision.
    #[error("the deployment is at revision {present:?}")]
    RevisionChanged {
        /// The present one; none where there is no such deployment.
        present: Option<Revision>,
    },
    /// The caller expected another version of a value in a deployment's state.
    #[error("the value has version {}", .present.0)]
    ValueChanged {
        /// The present one; [`Version::ABSENT`] if there is no value.
        present: Version,
    },
    /// Runs of the deployment have not ended.
    #[error("{unended} runs have not ended")]
    RunsGoing {
        /// How many; counted up to 1,000.
        unended: usize,
    },
    /// The idempotency key belongs to a run with another input.
    #[error("the idempotency key belongs to run {run}, which had another input")]
    KeyMismatch {
        /// That run.
        run: RunId,
    },
    /// The idempotency key belongs to a run whose record retention has removed.
    #[error("the idempotency key belongs to run {run}, which retention has removed")]
    KeyOutlivesRun {
        /// That run.
        run: RunId,
    },
    /// As many runs of the deployment are queued as may be.
    #[error("{queued} runs of the deployment wait already")]
    QueueFull {
        /// How many.
        queued: u64,
    },
    /// The idempotency key belongs to an event with another payload.
    #[error("the idempotency key belongs to event {event}, which had another payload")]
    EventKeyMismatch {
        /// That event.
        event: EventId,
    },
    /// The idempotency key belongs to another signal.
    #[error("the idempotency key belongs to another signal to run {run}, of another name or payload")]
    SignalKeyMismatch {
        /// Which run has that signal.
        run: RunId,
    },
    /// The run is not in a state that allows it.
    #[error("{0}")]
    IllegalTransition(String),
    /// The writer's life is over: another owns the run.
    #[error("run {run} belongs to another node, or to a later life of this one")]
    StaleEpoch {
        /// The run.
        run: RunId,
    },
    /// No room: nothing was begun, and all goes on when there is room.
    #[error("the disk is full")]
    DiskFull,
    /// The store takes no more writes until the host is restarted.
    #[error("the store is read-only: {why}")]
    ReadOnly {
        /// What happened.
        why: String,
    },
    /// Something stored is not what was stored.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// Which record or file, and how.
        what: String,
    },
    /// Another process has the folder.
    #[error("the data folder is in use: {holder}")]
    Locked {
        /// Who, as far as is known.
        holder: String,
    },
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
    /// A run's inbox has no room for a signal, or the signal is too large for any.
    #[error("run {run} takes no such signal: {what}")]
    InboxFull {
        /// Whose inbox.
        run: RunId,
        /// Which bound, with its value.
        what: String,
    },
    /// A bound of a run or a deployment, such as a quota.
    #[error("{detail}")]
    OverBound {
        /// The bound's stable code.
        code: Code,
        /// The bound with its value.
        detail: String,
    },
    /// A bound of the store, such as the size of one commit.
    #[error("{0}")]
    TooLarge(String),
    /// The machine failed it.
    #[error("{0}")]
    Io(String),
}

impl StoreError {
    /// The stable code of the error, with a page in docs/errors.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { kind, .. } => match *kind {
                "deployment" => Code::DeploymentNotFound,
                "revision" => Code::RevisionNotFound,
                "component" => Code::ComponentNotFound,
                "schedule" => Code::ScheduleNotFound,
                "subscription" => Code::SubscriptionNotFound,
                "run" => Code::RunNotFound,
                "state key" => Code::StateKeyNotFound,
                "topic" => Code::TopicNotFound,
                _ => Code::PathNotFound,
            },
            Self::VersionTaken { .. } => Code::VersionHasOtherBytes,
            Self::InUse { .. } => Code::ComponentInUse,
            Self::RevisionChanged { .. } | Self::ValueChanged { .. } => Code::PreconditionFailed,
            Self::RunsGoing { .. } => Code::DeploymentInUse,
            Self::KeyMismatch { .. } | Self::EventKeyMismatch { .. } | Self::SignalKeyMismatch { .. } => {
                Code::IdempotencyMismatch
            }
            Self::KeyOutlivesRun { .. } => Code::IdempotencyRunRemoved,
            Self::QueueFull { .. } => Code::QueueFull,
            Self::IllegalTransition(_) => Code::RunState,
            Self::StaleEpoch { .. } => Code::Conflict,
            Self::DiskFull => Code::DiskFull,
            Self::ReadOnly { .. } => Code::StoreReadOnly,
            Self::Damaged { .. } => Code::StoreDamaged,
            Self::Locked { .. } => Code::StoreLocked,
            Self::Closed => Code::ShuttingDown,
            Self::InboxFull { .. } => Code::LimitSignals,
            Self::OverBound { code, .. } => *code,
            Self::TooLarge(_) => Code::LimitCommit,
            Self::Io(_) => Code::StoreUnavailable,
        }
    }

    /// Whether the same operation may succeed later, with nobody doing anything but making room.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Io(_))
    }
}
