//! Selects the runs of a command: some by their ids, or many by a filter; and follows the action on
//! many until it is done.

use tidemill_api_types::{self as shapes, Time};

use super::affected::AffectedRuns;
use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;
use crate::query::Query;

/// A filter of runs.
#[derive(Debug, Default, clap::Args)]
pub struct RunFilter {
    /// Only runs of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Only runs in this state: queued, running, suspended, succeeded, failed, cancelled or parked
    #[arg(long, short, value_name = "STATE", value_parser = clap::builder::PossibleValuesParser::new(tidemill_core::run::RunState::NAMES))]
    state: Vec<String>,

    /// Only runs with this label
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// Only runs created at or after this time, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: Option<Time>,

    /// Only runs created before this time
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<Time>,

    /// Only runs that failed or are parked with this code
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,
}

impl RunFilter {
    fn is_empty(&self) -> bool {
        let Self { deployment, state, labels, since, until, code } = self;
        let untimed = since.is_none() && until.is_none();
        deployment.is_none() && state.is_empty() && labels.is_empty() && untimed && code.is_empty()
    }

    /// Builds the query parameters of a list.
    pub fn query(&self) -> Query {
        Query::default()
            .with_each("deployment", &self.deployment)
            .with_each("state", &self.state)
            .with_each("label", &self.labels)
            .with_each("since", self.since)
            .with_each("until", self.until)
            .with_each("code", &self.code)
    }

    /// Builds the query parameters for an action: runs in `states` if no state is given.
    fn query_in(&self, states: &[&str]) -> Query {
        let states = if self.state.is_empty() { states } else { &[] };
        self.query().with_each("state", states)
    }

    /// Builds the filter of an action: runs in `states` if no state is given.
    fn shape(&self, states: &[&str]) -> shapes::RunFilter<'static> {
        let state = if self.state.is_empty() {
            states.iter().map(|&state| state.to_owned()).collect()
        } else {
            self.state.clone()
        };
        shapes::RunFilter {
            deployment: self.deployment.clone().map(Into::into),
            state: state.into(),
            label: self.labels.clone(),
            since: self.since,
            until: self.until,
            code: self.code.clone().into(),
        }
    }
}

/// Some runs by id, or many by a filter.
#[derive(Debug, clap::Args)]
pub struct RunSelector {
    /// The runs: ids, beginnings or ends of ids, last, or DEPLOYMENT/KEY
    #[arg(value_name = "RUN", required_unless_present_any = ["all", "parked"])]
    pub ids: Vec<String>,

    /// Every matching run in an eligible state
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// Every matching parked run; `tidemill runs parked` shows them
    #[arg(long, conflicts_with_all = ["ids", "all", "state"])]
    parked: bool,

    /// The filter.
    #[command(flatten)]
    filter: RunFilter,
}

impl RunSelector {
    /// Checks that filters are given only if they have an effect.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn check(&self) -> Result<(), CliError> {
        if self.many() || self.filter.is_empty() {
            return Ok(());
        }
        Err(CliError::usage("filters cannot be combined with names of runs", "write --all instead of the names"))
    }

    /// Returns whether a filter selects the runs.
    pub const fn many(&self) -> bool {
        self.all || self.parked
    }

    /// Acts on all matching runs and shows the progress until it is done; runs in `states` if no
    /// state is given.
    ///
    /// # Errors
    /// An error of the host, or a failure if runs were left out.
    pub async fn act(
        &self,
        action: &str,
        states: &[&str],
        confirm: ConfirmArgs,
        client: &Client,
        printer: &Printer,
    ) -> Result<(), CliError> {
        let states = if self.parked { &["parked"][..] } else { states };
        if confirm.dry_run || confirm.is_interactive() {
            let affected = AffectedRuns::find(&self.filter.query_in(states), client).await?;
            if confirm.dry_run {
                affected.show(action, printer);
                return Ok(());
            }
            if !affected.confirm(action, confirm, printer)? {
                return Ok(());
            }
        }
        let request = shapes::RunActionRequest { action: action.to_owned(), filter: self.filter.shape(states) };
        let operation = client.post_json("/v1/runs/actions", &request).await?;
        operation::follow(operation, "tidemill runs list", client, printer).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_is_the_same_in_a_list_and_in_an_action() {
        let filter = RunFilter {
            deployment: Some("hello".into()),
            state: vec!["parked".into()],
            labels: vec!["tier=gold".into()],
            since: Some(crate::when::time("2026-01-31T12:00:00Z").unwrap()),
            until: None,
            code: vec!["host/trap".into()],
        };
        assert_eq!(
            filter.query().of_path("/v1/runs"),
            "/v1/runs?deployment=hello&state=parked&label=tier%3Dgold&since=2026-01-31T12%3A00%3A00.000Z\
             &code=host%2Ftrap"
        );
        assert_eq!(
            serde_json::to_value(filter.shape(&["queued"])).unwrap(),
            json!({
                "deployment": "hello", "state": ["parked"], "label": ["tier=gold"],
                "code": ["host/trap"], "since": "2026-01-31T12:00:00.000Z"
            })
        );
        assert_eq!(filter.query_in(&["queued"]), filter.query());
        assert_eq!(
            RunFilter::default().query_in(&["queued", "parked"]),
            Query::default().with_each("state", ["queued", "parked"])
        );
        assert!(RunFilter::default().is_empty());
        assert_eq!(
            serde_json::to_value(RunFilter::default().shape(&["parked"])).unwrap(),
            json!({"state": ["parked"]})
        );
    }
}
