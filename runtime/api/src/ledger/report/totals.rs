//! Net revenue by currency, and by stream or kind if a report groups by them.

use std::collections::BTreeMap;

use tidemill_api_types as shapes;
use tidemill_store::records::KindSum;

use crate::ledger::{Amounts, json};
use crate::problem::ApiResult;
use crate::request::{QueryParams, bad};

/// What a report groups by, besides the currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportGroups {
    stream: bool,
    kind: bool,
}

/// A group: its stream and kind, if the report groups by them, and its currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The stream.
    pub stream: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// The currency.
    pub currency: String,
}

/// The net revenue of a group, in minor units, and its number of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupSum {
    /// Net revenue.
    pub net_revenue: i128,
    /// Number of posted entries.
    pub entries: u64,
}

impl ReportGroups {
    /// Reads `group`, which may be repeated.
    ///
    /// # Errors
    /// `host/bad-query`.
    pub fn read(params: &QueryParams) -> ApiResult<Self> {
        let mut groups_by = Self::default();
        for group in params.all("group") {
            match group {
                "stream" => groups_by.stream = true,
                "kind" => groups_by.kind = true,
                other => return Err(bad("group", other, "it is `stream` or `kind`")),
            }
        }
        Ok(groups_by)
    }

    /// Adds up sums by group.
    pub fn totals(self, sums: &[KindSum]) -> BTreeMap<GroupKey, GroupSum> {
        let mut totals: BTreeMap<GroupKey, GroupSum> = BTreeMap::new();
        for sum in sums {
            let key = GroupKey {
                stream: self.stream.then(|| sum.stream.to_string()),
                kind: self.kind.then(|| sum.kind.clone()),
                currency: sum.currency.clone(),
            };
            let total = totals.entry(key).or_default();
            total.net_revenue = total.net_revenue.saturating_add(sum.sum.net_revenue);
            total.entries = total.entries.saturating_add(sum.sum.entries);
        }
        totals.retain(|_, total| total.entries > 0 || total.net_revenue != 0);
        totals
    }

    /// Adds up sums by group, for an answer.
    pub fn shapes(self, sums: &[KindSum], amounts: &Amounts) -> Vec<shapes::RevenueTotal> {
        let totals = self.totals(sums).into_iter();
        let shape = |(key, total): (GroupKey, GroupSum)| shapes::RevenueTotal {
            stream: key.stream,
            kind: key.kind,
            ..json::total(&key.currency, total.net_revenue, total.entries, amounts)
        };
        totals.map(shape).collect()
    }
}
