//! Listing streams with their revenue.

use std::collections::{BTreeMap, HashMap};
use tidemill_api_types as shapes;

use axum::extract::State;
use axum::response::Response;
use tidemill_core::money::LedgerStream;
use tidemill_core::run::Export;
use tidemill_core::{ComponentDigest, DeploymentName};
use tidemill_store::records::PageRequest;

use crate::config::PAGE_MOST;
use crate::ledger;
use crate::problem::ApiResult;
use crate::request::RawQuery;
use crate::state::ApiState;
use crate::wire::ok;

/// Lists streams with their revenue
///
/// The ledger updates the totals in the commit of each entry. They include everything that was ever
/// posted.
#[utoipa::path(
    get, path = "/v1/streams", tag = "ledger",
    params(("paper" = Option<bool>, Query, description = "streams on paper instead")),
    responses((status = 200, body = shapes::List<shapes::Stream>, description = "the items, by name"))
)]
pub async fn list(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let paper = query.only(&["paper"])?.flag("paper")?;
    let mut streams = deployed(&state, paper).await?;
    let totals = state.host.store().stream_totals().await?;
    let amounts = ledger::Amounts::of(&state).await?;
    for total in totals.into_iter().filter(|total| total.paper == paper) {
        let name = total.stream.clone();
        let stream = streams.entry(name.clone()).or_insert_with(|| shapes::Stream {
            name: name.as_str().to_owned(),
            deployed: false,
            collected_until: None,
            totals: Vec::new(),
        });
        stream.totals.push(ledger::json::total(&total.currency, total.net_revenue, total.entries, &amounts));
    }
    Ok(ok(&shapes::List { items: streams.into_values().collect(), next: None }))
}

/// Whether the manifest of a deployment sends its entries to accounts on paper.
fn is_on_paper(state: &ApiState, name: &DeploymentName) -> bool {
    state.host.ledger_policy(name).is_some_and(|policy| policy.paper)
}

/// Returns the deployments whose component exports `revenue-stream`, either on paper or not.
async fn deployed(state: &ApiState, paper: bool) -> ApiResult<BTreeMap<LedgerStream, shapes::Stream>> {
    let store = state.host.store();
    let mut can_collect: HashMap<ComponentDigest, bool> = HashMap::new();
    let mut streams = BTreeMap::new();
    let mut request = PageRequest::first(PAGE_MOST);
    loop {
        let page = store.deployments(request).await?;
        for deployment in page.items {
            let known = match can_collect.get(&deployment.component) {
                Some(known) => *known,
                None => {
                    let component = store.component(&deployment.component).await?;
                    let collects = component.is_some_and(|c| c.exports.contains(&Export::RevenueStream));
                    can_collect.insert(deployment.component, collects);
                    collects
                }
            };
            if known && is_on_paper(state, &deployment.name) == paper {
                let until = store.watermark(&deployment.name).await?;
                let stream = shapes::Stream {
                    name: deployment.name.as_str().to_owned(),
                    deployed: true,
                    collected_until: until.map(shapes::Time),
                    totals: Vec::new(),
                };
                streams.insert(deployment.name.into(), stream);
            }
        }
        let Some(next) = page.next else { return Ok(streams) };
        request = PageRequest { cursor: Some(next), limit: PAGE_MOST };
    }
}
