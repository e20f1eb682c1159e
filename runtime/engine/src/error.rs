//! Errors of the engine: one enum for its own operations, one struct for components that are not
//! admitted.

use tidemill_core::run::Export;
use tidemill_core::{Code, ComponentDigest};

/// Why an operation of the engine failed. A run never ends with one of these: its failure is in
/// [`crate::ActivationResult`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The machine or the configuration does not allow an engine.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// There are no bytes for the digest.
    #[error("there is no component {0}")]
    NotFound(ComponentDigest),
    /// The bytes do not match the digest.
    #[error("component {digest} is damaged: {why}")]
    Damaged {
        /// The component.
        digest: ComponentDigest,
        /// The evidence.
        why: String,
    },
    /// The component was admitted before, but this host cannot run it.
    #[error("component {digest} cannot run on this host: {refused}")]
    Refused {
        /// The component.
        digest: ComponentDigest,
        /// The reason.
        refused: ComponentRejection,
    },
    /// An operation of the system failed.
    #[error("{what}: {error}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The error.
        error: std::io::Error,
    },
    /// An internal error.
    #[error("the engine failed: {0}")]
    Internal(String),
}

impl EngineError {
    /// Returns the stable code of the error, with a page in docs/errors.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::ComponentNotFound,
            Self::Damaged { .. } => Code::StoreDamaged,
            Self::Refused { refused, .. } => refused.problems.first().map_or(Code::ComponentInvalid, |p| p.code),
            Self::Io { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => Code::DiskFull,
            Self::Start(_) | Self::Io { .. } | Self::Internal(_) => Code::Internal,
        }
    }
}

/// What is known of a component that can run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInfo {
    /// The worlds that it implements, in the order of the WIT.
    pub exports: Vec<Export>,
    /// The interfaces that it imports, with versions, as it names them, sorted.
    pub imports: Vec<String>,
    /// Warnings for the component's author.
    pub warnings: Vec<String>,
    /// The schemas of its workflow, as JSON: `{"workflow": {"input": …, "output": …}}`.
    pub schemas: Option<String>,
}

/// Why a component is not admitted: every problem, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct ComponentRejection {
    /// At least one and at most 100.
    pub problems: Vec<ComponentProblem>,
    /// Whether the host failed and not the component: the same upload may be admitted later.
    pub host: bool,
}

/// One problem of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentProblem {
    /// The stable code.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to fix it.
    pub fix: String,
}

impl ComponentProblem {
    /// Returns a problem with the default fix of its code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fix: code.fix().to_owned() }
    }

    /// Replaces the fix.
    #[must_use]
    pub fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }
}

impl ComponentRejection {
    /// Returns a rejection with one problem.
    #[must_use]
    pub fn one(problem: ComponentProblem) -> Self {
        Self { problems: vec![problem], host: false }
    }

    /// Returns a rejection because the host could not inspect the component.
    #[must_use]
    pub fn by_host(message: impl Into<String>) -> Self {
        Self { problems: vec![ComponentProblem::new(Code::Internal, message)], host: true }
    }
}
