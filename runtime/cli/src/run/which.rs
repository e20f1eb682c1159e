//! Which runs a command is about: some by their ids, or many by what they have in common; and the action on many, followed to its
//! end.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::affected::AffectedRuns;
use crate::client::{Client, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;

/// What runs have in common.
#[derive(Debug, Default, clap::Args)]
pub struct RunFilter {
    /// Only those of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Only those in this state: queued, running, suspended, succeeded, failed, cancelled or parked
    #[arg(long, short, value_name = "STATE", value_parser = clap::builder::PossibleValuesParser::new(tidemill_core::run::RunState::NAMES))]
    state: Vec<String>,

    /// Only those with this label
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// Only those made at or after this time, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: Option<String>,

    /// Only those made before this time
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<String>,

    /// Only those that failed or are parked with this code
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,
}

impl RunFilter {
    fn is_empty(&self) -> bool {
        let Self { deployment, state, labels, since, until, code } = self;
        let untimed = since.is_none() && until.is_none();
        deployment.is_none() && state.is_empty() && labels.is_empty() && untimed && code.is_empty()
    }

    /// As the parameters of a list.
    pub fn query(&self) -> Vec<String> {
        let mut query = Vec::new();
        query.extend(self.deployment.iter().map(|name| format!("deployment={}", encoded(name))));
        query.extend(self.state.iter().map(|state| format!("state={}", encoded(state))));
        query.extend(self.labels.iter().map(|label| format!("label={}", encoded(label))));
        query.extend(self.since.iter().map(|since| format!("since={}", encoded(since))));
        query.extend(self.until.iter().map(|until| format!("until={}", encoded(until))));
        query.extend(self.code.iter().map(|code| format!("code={}", encoded(code))));
        query
    }

    /// The same for an action: runs in `states` if no state is named.
    fn query_in(&self, states: &[&str]) -> Vec<String> {
        let mut query = self.query();
        if self.state.is_empty() {
            query.extend(states.iter().map(|state| format!("state={state}")));
        }
        query
    }

    /// As the filter of an action, on runs in `states` where no state is named.
    fn body(&self, states: &[&str]) -> Value {
        let mut body = serde_json::Map::new();
        let mut say = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        if let Some(deployment) = &self.deployment {
            say("deployment", json!(deployment));
        }
        say("state", if self.state.is_empty() { json!(states) } else { json!(self.state) });
        if !self.labels.is_empty() {
            say("label", json!(self.labels));
        }
        if !self.code.is_empty() {
            say("code", json!(self.code));
        }
        for (name, time) in [("since", &self.since), ("until", &self.until)] {
            if let Some(time) = time {
                say(name, json!(time));
            }
        }
        Value::Object(body)
    }
}

/// Some runs, or many.
#[derive(Debug, clap::Args)]
pub struct RunSelector {
    /// The runs: ids, beginnings or ends of ids, last, or DEPLOYMENT/KEY
    #[arg(value_name = "RUN", required_unless_present_any = ["all", "parked"])]
    pub ids: Vec<String>,

    /// All that are in a state for it, as far as the filters go
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// All that are parked, as far as the filters go; `tidemill parked` shows them
    #[arg(long, conflicts_with_all = ["ids", "all", "state"])]
    parked: bool,

    /// Which of all
    #[command(flatten)]
    filter: RunFilter,
}

impl RunSelector {
    /// That filters are given only where they mean something.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn check(&self) -> Result<(), CliError> {
        if self.many() || self.filter.is_empty() {
            return Ok(());
        }
        Err(CliError::usage("filters are for many runs, and these are named one by one", "write --all in their place"))
    }

    /// Whether many are meant, by what they have in common.
    pub const fn many(&self) -> bool {
        self.all || self.parked
    }

    /// Acts on all of them, and shows how far that is until it is done; those in `states` where none is named.
    ///
    /// # Errors
    /// What the host refuses; also where runs were left out.
    pub async fn act(
        &self,
        action: &str,
        states: &[&str],
        confirm: ConfirmArgs,
        client: &Client,
        printer: &Printer,
    ) -> Result<(), CliError> {
        let states = if self.parked { &["parked"][..] } else { states };
        if confirm.dry_run || confirm.asks() {
            let affected = AffectedRuns::find(&self.filter.query_in(states), client).await?;
            if confirm.dry_run {
                affected.show(action, printer);
                return Ok(());
            }
            if !affected.confirm(action, confirm, printer)? {
                return Ok(());
            }
        }
        let body = json!({ "action": action, "filter": self.filter.body(states) }).to_string();
        let answer = client.ask(Method::POST, "/v1/runs/actions", body.into_bytes(), &[], Duration::ZERO).await?;
        operation::follow(operation::begun(&answer)?, "tidemill runs", client, printer).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_the_same_in_a_list_and_in_an_action() {
        let filter = RunFilter {
            deployment: Some("hello".into()),
            state: vec!["parked".into()],
            labels: vec!["tier=gold".into()],
            since: Some("2026-01-31T12:00:00Z".into()),
            until: None,
            code: vec!["host/trap".into()],
        };
        assert_eq!(
            filter.query(),
            [
                "deployment=hello",
                "state=parked",
                "label=tier%3Dgold",
                "since=2026-01-31T12%3A00%3A00Z",
                "code=host%2Ftrap"
            ]
        );
        assert_eq!(
            filter.body(&["queued"]),
            json!({
                "deployment": "hello", "state": ["parked"], "label": ["tier=gold"],
                "code": ["host/trap"], "since": "2026-01-31T12:00:00Z"
            })
        );
        assert_eq!(filter.query_in(&["queued"]), filter.query());
        assert_eq!(RunFilter::default().query_in(&["queued", "parked"]), ["state=queued", "state=parked"]);
        assert!(RunFilter::default().is_empty());
        assert_eq!(RunFilter::default().body(&["parked"]), json!({"state": ["parked"]}));
    }
}
