//! How the engine refuses: one enum for its own operations, one for components that are not admitted.

use tidemill_core::run::Export;
use tidemill_core::{Code, ComponentDigest};

/// Why the engine could not do something. A run never ends with one of these: its failure is in [`crate::Ended`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The machine or the configuration does not allow an engine.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// There are no bytes for the digest.
    #[error("there is no component {0}")]
    NotFound(ComponentDigest),
    /// The bytes for the digest are other bytes.
    #[error("component {digest} is damaged: {why}")]
    Damaged {
        /// Which.
        digest: ComponentDigest,
        /// How that is known.
        why: String,
    },
    /// The component was admitted once, but this host cannot run it.
    #[error("component {digest} cannot run on this host: {refused}")]
    Refused {
        /// Which.
        digest: ComponentDigest,
        /// Why.
        refused: ComponentRejection,
    },
    /// The machine failed it.
    #[error("{what}: {error}")]
    Io {
        /// What was done.
        what: &'static str,
        /// What happened.
        error: std::io::Error,
    },
    /// Anything that should not be.
    #[error("the engine failed: {0}")]
    Internal(String),
}

impl EngineError {
    /// The stable code of the error, with a page in docs/errors.
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
    /// Which of the four worlds it implements, in the order of the WIT.
    pub exports: Vec<Export>,
    /// The interfaces that it imports, with versions, as it names them, sorted.
    pub imports: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// What it says of its workflow's JSON, as JSON: `{"workflow": {"input": …, "output": …}}`.
    pub schemas: Option<String>,
}

/// Why a component is not admitted: every problem that was found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct ComponentRejection {
    /// At least one and at most 100.
    pub problems: Vec<ComponentProblem>,
    /// Whether it is the host that failed and not the component: the same upload may be admitted later.
    pub host: bool,
}

/// One thing that is wrong with a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentProblem {
    /// Its stable code.
    pub code: Code,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl ComponentProblem {
    /// A problem with the fix that its code has.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fix: code.fix().to_owned() }
    }

    /// The same with a fix of its own.
    #[must_use]
    pub fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }
}

impl ComponentRejection {
    /// A component with one problem.
    #[must_use]
    pub fn one(problem: ComponentProblem) -> Self {
        Self { problems: vec![problem], host: false }
    }

    /// A component that the host could not look at.
    #[must_use]
    pub fn by_host(message: impl Into<String>) -> Self {
        Self { problems: vec![ComponentProblem::new(Code::Internal, message)], host: true }
    }
}
