//! A value of each type about actions of runs on other deployments that is encoded as a record, and
//! such actions in the session.

use tidemill_core::Revision;
use tidemill_core::operator::OperatorAction;

use super::records::Rows;
use super::{at, run};
use crate::embedded::EmbeddedStore;
use crate::embedded::tables::{FEED, OPERATOR_CALLS, PAUSING_RUNS};
use crate::records::{FeedEvent, OperatorAnswer, OperatorCall, OperatorChange};
use crate::traits::OperatorStore as _;

pub(super) fn operator(rows: &mut Rows) {
    for answer in [OperatorAnswer::Done, OperatorAnswer::Revision(Revision::new(300)), OperatorAnswer::Runs(300)] {
        rows.add(OPERATOR_CALLS, &format!("answer {answer:?}"), &answer);
    }
    rows.add(PAUSING_RUNS, "run that paused a deployment", &run(1));
    for action in OperatorAction::ALL {
        let event = FeedEvent::Operator {
            deployment: "shop".parse().unwrap(),
            revision: Revision::new(2),
            action,
            by: "runbook".parse().unwrap(),
            run: run(1),
            note: "it traps".to_owned(),
            runs: (action == OperatorAction::Retry).then_some(300),
        };
        rows.add(FEED, &format!("feed event of {action}"), &(at(1), event));
    }
}

/// Pauses `hooked` as a run does.
pub(super) async fn act(store: &EmbeddedStore) {
    let call = OperatorCall {
        run: run(1),
        generation: 1,
        key: [7; 16],
        by: "runbook".parse().unwrap(),
        deployment: "hooked".parse().unwrap(),
        action: OperatorAction::Pause,
        note: "it traps".to_owned(),
    };
    store.operate(call, OperatorChange::Pause, at(0)).await.unwrap();
}
