//! The decisions of operators about the breakers of deployments.

use tidemill_core::DeploymentName;

use crate::embedded::deployments;
use crate::embedded::tables::BREAKERS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{BreakerDecision, FeedEvent};

/// Stores a decision and announces it.
pub(super) fn decide(commit: &mut WriteTx<'_, '_>, name: &DeploymentName, decision: &BreakerDecision) -> Result<()> {
    let deployment = deployments::get(commit, name)?.ok_or_else(|| deployments::no_deployment(name))?;
    commit.put_record(BREAKERS, name.as_str().as_bytes(), decision)?;
    let event = FeedEvent::Breaker {
        deployment: name.clone(),
        revision: deployment.revision,
        state: decision.mode.as_str().to_owned(),
        reason: decision.note.clone(),
        until: None,
    };
    commit.announce(decision.since, &event)
}

/// Returns all decisions, sorted by deployment.
pub(super) fn decisions(store: &impl ReadTx) -> Result<Vec<(DeploymentName, BreakerDecision)>> {
    store.named_records(BREAKERS)
}
