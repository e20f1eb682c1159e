//! The child's answer on its standard output: one JSON value.

use serde::{Deserialize, Serialize};
use tidemill_core::Code;

use crate::error::{ComponentProblem, ComponentRejection};
use crate::guest::stack::SourceFrame;

/// Maximum size of an answer, in bytes: a hundred problems, a component's schemas, or the lines of
/// a failure's stack.
pub(crate) const REPORT_BYTES: u64 = 1 << 20;

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The component was inspected, and compiled if requested.
    Admitted {
        /// The schemas of its workflow.
        schemas: Option<String>,
        /// Warnings for the component's author.
        warnings: Vec<String>,
    },
    /// The component cannot run here.
    Refused(Vec<Reason>),
    /// The functions at each of the requested offsets, innermost first.
    Lines(Vec<Vec<SourceFrame>>),
}

/// A [`ComponentProblem`] in JSON.
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

/// Converts reasons into the rejection that they describe.
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
