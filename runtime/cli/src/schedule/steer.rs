//! `tidemill schedules pause`, `resume` and `trigger`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::Which;
use crate::client::{Client, encoded};
use crate::deployment::pause::note;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;
use crate::wire::Run;

/// One schedule, or many.
#[derive(Debug, clap::Args)]
pub struct Whom {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT", requires = "name", required_unless_present = "many")]
    one: Option<String>,

    /// The schedule's name
    name: Option<String>,

    #[command(flatten)]
    many: Many,
}

/// Many schedules.
#[derive(Debug, clap::Args)]
#[group(id = "many", multiple = true, conflicts_with = "one")]
struct Many {
    /// All schedules of the host
    #[arg(long, conflicts_with_all = ["deployment", "labels"])]
    all: bool,

    /// All schedules of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// All schedules of deployments with this label
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
}

impl Whom {
    fn one(&self) -> Option<(&str, &str)> {
        self.one.as_deref().zip(self.name.as_deref())
    }

    /// As the filter of an action on many.
    fn filter(&self) -> Value {
        let mut filter = serde_json::Map::new();
        if self.many.all {
            filter.insert("all".to_owned(), json!(true));
        }
        if let Some(deployment) = &self.many.deployment {
            filter.insert("deployment".to_owned(), json!(deployment));
        }
        if !self.many.labels.is_empty() {
            filter.insert("label".to_owned(), json!(self.many.labels));
        }
        Value::Object(filter)
    }
}

/// Which, and why.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    #[command(flatten)]
    whom: Whom,

    /// Why, for whoever wonders later
    #[arg(long, default_value = "")]
    note: String,
}

/// Pauses it, or them.
pub async fn pause(args: &PauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = args.whom.one() else {
        let body = json!({ "action": "pause", "filter": args.whom.filter(), "note": args.note });
        return many(&body, client, printer).await;
    };
    let path = format!("/v1/schedules/{}/{}/pause", encoded(deployment), encoded(name));
    let answer = client.ask(Method::POST, &path, note(&args.note), &[], Duration::ZERO).await?;
    let record: Value = answer.json().unwrap_or_default();
    printer.record(&record, &format!("{deployment}/{name} paused"));
    Ok(())
}

/// Lets it go on, or them.
pub async fn resume(whom: &Whom, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = whom.one() else {
        return many(&json!({ "action": "resume", "filter": whom.filter() }), client, printer).await;
    };
    let record = client.post(&format!("/v1/schedules/{}/{}/resume", encoded(deployment), encoded(name))).await?;
    printer.record(&record, &format!("{deployment}/{name} resumed"));
    Ok(())
}

async fn many(body: &Value, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let body = body.to_string().into_bytes();
    let answer = client.ask(Method::POST, "/v1/schedules/actions", body, &[], Duration::ZERO).await?;
    operation::follow(operation::begun(&answer)?, "tidemill schedules", client, printer).await
}

/// Fires it once; prints the run's id.
pub async fn trigger(which: &Which, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let record = client.post(&format!("{}/trigger", which.path())).await?;
    let run: Run = serde_json::from_value(record.clone()).unwrap_or_default();
    printer.record(&record, &run.id);
    Ok(())
}
