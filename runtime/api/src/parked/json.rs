//! The wire form of parked runs.

use tidemill_api_types as shapes;
use tidemill_core::run::Run;
use tidemill_core::{Code, Failure};
use tidemill_store::records::{ParkedGroup, ParkedRun};

use crate::wire::FromRecord;

/// The item of a run, from its record and its failure.
impl FromRecord<(ParkedRun, &Run, Failure)> for shapes::ParkedRun {
    fn of((parked, run, failure): (ParkedRun, &Run, Failure)) -> Self {
        Self {
            run: parked.run,
            state: run.state.name().into(),
            deployment: parked.why.deployment.to_string(),
            since: parked.why.since.into(),
            created_at: run.created_at.into(),
            attempt: run.attempt,
            fix: fix(&parked.why.code),
            code: parked.why.code,
            message: failure.message,
        }
    }
}

impl FromRecord<ParkedGroup> for shapes::ParkedGroup {
    fn of(group: ParkedGroup) -> Self {
        Self {
            deployment: group.deployment.to_string(),
            fix: fix(&group.code),
            code: group.code,
            runs: group.runs,
            oldest: group.oldest.into(),
            newest: group.newest.into(),
        }
    }
}

fn fix(code: &str) -> Option<String> {
    Code::parse(code).map(|code| code.fix().to_owned())
}
