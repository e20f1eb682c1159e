//! A filter of deliveries, for a list and for a replay.

use clap::builder::PossibleValuesParser;
use tidemill_api_types::{self as shapes, Time};
use tidemill_core::delivery::DeliveryOutcome;

use crate::query::Query;

/// A filter of deliveries.
#[derive(Debug, Default, clap::Args)]
pub struct DeliveryFilter {
    /// Only deliveries to this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Only deliveries to hooks of this name
    #[arg(long, value_name = "NAME")]
    hook: Option<String>,

    /// Only deliveries with this outcome
    #[arg(long, short, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(DeliveryOutcome::ALL.map(DeliveryOutcome::as_str)))]
    outcome: Vec<String>,

    /// Only deliveries with this id of the provider
    #[arg(long, value_name = "ID")]
    key: Option<String>,

    /// Only deliveries about this object
    #[arg(long, value_name = "ID")]
    object: Option<String>,

    /// Only deliveries received at or after this time, such as 1h (ago), yesterday, 2026-11-29 or
    /// RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: Option<Time>,

    /// Only deliveries received before this time
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<Time>,
}

impl DeliveryFilter {
    /// Returns whether it selects every delivery.
    pub fn is_empty(&self) -> bool {
        let Self { deployment, hook, outcome, key, object, since, until } = self;
        let named = deployment.is_some() || hook.is_some() || key.is_some() || object.is_some();
        !named && outcome.is_empty() && since.is_none() && until.is_none()
    }

    /// Builds the query of a list.
    pub fn query(&self) -> Query {
        Query::default()
            .with_each("deployment", &self.deployment)
            .with_each("hook", &self.hook)
            .with_each("key", &self.key)
            .with_each("object", &self.object)
            .with_each("outcome", &self.outcome)
            .with_each("since", self.since)
            .with_each("until", self.until)
    }

    /// Builds the filter of an action.
    pub fn shape(&self) -> shapes::DeliveryFilter<'static> {
        shapes::DeliveryFilter {
            deployment: self.deployment.clone().map(Into::into),
            hook: self.hook.clone().map(Into::into),
            outcome: self.outcome.iter().cloned().map(Into::into).collect(),
            key: self.key.clone().map(Into::into),
            object: self.object.clone().map(Into::into),
            since: self.since,
            until: self.until,
        }
    }
}
