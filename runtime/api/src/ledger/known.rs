//! Whether a stream exists or ever existed, and the policy of its deployment.

use tidemill_core::DeploymentName;
use tidemill_core::manifest::{LedgerPolicy, Manifest};
use tidemill_core::money::LedgerStream;
use tidemill_store::records::PageRequest;

use crate::deployments::get;
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Returns an error if there is neither an entry of the stream nor a deployment or run of its name.
pub async fn check_known(state: &ApiState, stream: Option<&LedgerStream>) -> ApiResult<()> {
    let Some(stream) = stream else { return Ok(()) };
    if !state.host.store().ledger_entries(Some(stream), PageRequest::first(1)).await?.items.is_empty() {
        return Ok(());
    }
    get::check_known(state, stream.deployment().parse::<DeploymentName>().ok().as_ref()).await
}

/// Returns how the ledger treats the entries of a stream; the default if there is no deployment.
pub async fn policy_of(state: &ApiState, stream: &LedgerStream) -> ApiResult<LedgerPolicy> {
    let Ok(name) = stream.deployment().parse::<DeploymentName>() else { return Ok(LedgerPolicy::default()) };
    let Some(deployment) = state.host.store().deployment(&name).await? else { return Ok(LedgerPolicy::default()) };
    // A stored manifest was valid when it was stored.
    Ok(Manifest::parse_json(deployment.manifest.as_bytes()).map(|manifest| manifest.ledger).unwrap_or_default())
}
