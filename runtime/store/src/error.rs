//! The errors of a store: one enum for all operations. Each variant has a stable code.

use tidemill_core::{Code, ComponentDigest, DeploymentName, EventId, Revision, RunId};

use crate::records::Version;

/// The result of an operation of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why an operation of the store failed. A failed operation has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object does not exist.
    #[error("no {kind} named `{name}`")]
    NotFound {
        /// The kind of object, such as `run`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The version of the module exists and refers to other bytes.
    #[error("{module}@{version} already exists with other bytes: {digest}")]
    VersionTaken {
        /// The module's name.
        module: String,
        /// The version.
        version: String,
        /// The digest that the version refers to.
        digest: ComponentDigest,
    },
    /// Deployments use the component.
    #[error("the component is in use by {}", .users.iter().map(DeploymentName::as_str).collect::<Vec<_>>().join(", "))]
    InUse {
        /// The deployments, sorted.
        users: Vec<DeploymentName>,
    },
    /// The caller expected another revision.
    #[error("the deployment is at revision {present:?}")]
    RevisionChanged {
        /// The current revision; `None` if the deployment does not exist.
        present: Option<Revision>,
    },
    /// The caller expected another version of a value in a deployment's state.
    #[error("the value has version {}", .present.0)]
    ValueChanged {
        /// The current version; [`Version::ABSENT`] if there is no value.
        present: Version,
    },
    /// The incident has changed since it was read.
    #[error("incident {number} has changed")]
    IncidentChanged {
        /// The incident.
        number: u64,
    },
    /// Runs of the deployment have not ended.
    #[error("{unended} runs have not ended")]
    UnendedRuns {
        /// The number of runs, counted up to 1,000.
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
    /// The queue of the deployment is full.
    #[error("the queue of the deployment is full: {queued} runs are queued")]
    QueueFull {
        /// The number of queued runs.
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
        /// The run that received that signal.
        run: RunId,
    },
    /// The external id belongs to an entry with other content.
    #[error("external id `{external_id}` was posted before with other content")]
    ExternalIdTaken {
        /// The external id.
        external_id: String,
    },
    /// The ledger, another run or a person has changed something so that an effect of a run is
    /// impossible.
    #[error("{detail}")]
    EffectImpossible {
        /// The stable code of the reason.
        code: Code,
        /// The effect and the reason.
        detail: String,
    },
    /// The state of the run does not allow the operation.
    #[error("{0}")]
    IllegalTransition(String),
    /// The writer's epoch is stale: the run belongs to another node or to a later epoch.
    #[error("run {run} belongs to another node, or to a later epoch of this one")]
    StaleEpoch {
        /// The run.
        run: RunId,
    },
    /// The disk is full. Nothing was written. Writes succeed again when there is space.
    #[error("the disk is full")]
    DiskFull,
    /// The store rejects all writes until the host is restarted.
    #[error("the store is read-only: {why}")]
    ReadOnly {
        /// The cause.
        why: String,
    },
    /// Stored bytes differ from the bytes that were acknowledged.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// The record or file, and the damage.
        what: String,
    },
    /// Another process uses the folder.
    #[error("the data folder is in use: {holder}")]
    Locked {
        /// The process, as far as it is known.
        holder: String,
    },
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
    /// The inbox of a run is full, or the signal exceeds a limit.
    #[error("run {run} cannot accept the signal: {what}")]
    InboxFull {
        /// The run that owns the inbox.
        run: RunId,
        /// The limit and its value.
        what: String,
    },
    /// A limit of a run or a deployment is reached, such as a quota.
    #[error("{detail}")]
    OverBound {
        /// The stable code of the limit.
        code: Code,
        /// The limit and its value.
        detail: String,
    },
    /// A limit of the store is exceeded, such as the size of one commit.
    #[error("{0}")]
    TooLarge(String),
    /// The operating system reported an error.
    #[error("{0}")]
    Io(String),
}

impl StoreError {
    /// Returns the stable code of the error. Each code has a page in docs/errors.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { kind, .. } => match *kind {
                "deployment" => Code::DeploymentNotFound,
                "delivery" => Code::DeliveryNotFound,
                "revision" => Code::RevisionNotFound,
                "component" => Code::ComponentNotFound,
                "schedule" => Code::ScheduleNotFound,
                "subscription" => Code::SubscriptionNotFound,
                "run" => Code::RunNotFound,
                "state key" => Code::StateKeyNotFound,
                "topic" => Code::TopicNotFound,
                "secret" => Code::SecretNotFound,
                "incident" => Code::IncidentNotFound,
                "alert" => Code::AlertNotFound,
                "budget" | "budget of each customer" => Code::BudgetNotFound,
                _ => Code::PathNotFound,
            },
            Self::VersionTaken { .. } => Code::VersionHasOtherBytes,
            Self::InUse { .. } => Code::ComponentInUse,
            Self::RevisionChanged { .. } | Self::ValueChanged { .. } | Self::IncidentChanged { .. } => {
                Code::PreconditionFailed
            }
            Self::UnendedRuns { .. } => Code::DeploymentInUse,
            Self::KeyMismatch { .. } | Self::EventKeyMismatch { .. } | Self::SignalKeyMismatch { .. } => {
                Code::IdempotencyMismatch
            }
            Self::ExternalIdTaken { .. } => Code::ExternalIdConflict,
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
            Self::OverBound { code, .. } | Self::EffectImpossible { code, .. } => *code,
            Self::TooLarge(_) => Code::LimitCommit,
            Self::Io(_) => Code::StoreUnavailable,
        }
    }

    /// Returns whether a retry can succeed without a restart, for example after disk space is
    /// freed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Io(_))
    }
}
