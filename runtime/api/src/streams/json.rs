//! A stream as it is sent.

use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::json::TotalJson;
use crate::wire::TimeJson;

/// A deployment whose component exports `revenue-stream`, or that has earned before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
pub struct StreamJson {
    /// The deployment; it may be gone, its entries stay.
    pub name: String,
    /// Whether there is such a deployment now.
    pub deployed: bool,
    /// Up to when revenue was collected; left out before the first success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected_until: Option<TimeJson>,
    /// What it earned, per currency.
    pub totals: Vec<TotalJson>,
}
