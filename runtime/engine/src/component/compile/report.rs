//! What the child process answers on its standard output: one JSON value.

use serde::{Deserialize, Serialize};
use tidemill_core::Code;

use crate::error::{ComponentProblem, ComponentRejection};
use crate::guest::stack::SourceFrame;

/// The longest answer, in bytes: a hundred problems, a component's schemas, or the lines of a failure's stack.
pub(crate) const REPORT_BYTES: u64 = 1 << 20;

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// It was inspected, and compiled where that was asked for.
    Admitted {
        /// The schemas of its workflow.
        schemas: Option<String>,
        /// What its author should know.
        warnings: Vec<String>,
    },
    /// It cannot run here.
    Refused(Vec<Reason>),
    /// The functions at each of the places that were asked for, innermost first.
    Lines(Vec<Vec<SourceFrame>>),
}

/// A [`ComponentProblem`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reason {
    code: String,
    message: String,
    fix: String,
}

impl From<ComponentProblem> for Reason {
    fn from(problem: ComponentProblem) -> Self {
        Self { code: problem.code.as_str().to_owned(), message: problem.message, fix: problem.fix }
    }
}

/// The refusal that a report describes.
pub(crate) fn refusal(reasons: Vec<Reason>) -> ComponentRejection {
    let problems = reasons
        .into_iter()
        .map(|reason| {
            let code = Code::parse(&reason.code).unwrap_or(Code::ComponentInvalid);
            ComponentProblem { code, message: reason.message, fix: reason.fix }
        })
        .collect();
    ComponentRejection { problems, host: false }
}
