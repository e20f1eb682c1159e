//! The wire form of a stream.

use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::json::TotalJson;
use crate::wire::TimeJson;

/// A deployment whose component exports `revenue-stream`, or that has earned before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
pub struct StreamJson {
    /// The deployment. If it was deleted, its entries remain.
    pub name: String,
    /// Whether the deployment exists now.
    pub deployed: bool,
    /// The time up to which revenue was collected; left out before the first success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected_until: Option<TimeJson>,
    /// The revenue, per currency.
    pub totals: Vec<TotalJson>,
}
