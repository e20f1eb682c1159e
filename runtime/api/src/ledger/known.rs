//! Whether a stream exists or ever existed.

use tidemill_core::DeploymentName;
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
