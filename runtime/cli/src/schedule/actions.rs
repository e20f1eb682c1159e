//! `tidemill schedules pause`, `resume`, `resync` and `trigger`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ScheduleRef;
use crate::client::{Client, encoded};
use crate::confirm::ConfirmArgs;
use crate::deployment::pause::note;
use crate::error::CliError;
use crate::operation;
use crate::printer::{Printer, Row};
use crate::wire::Run;

/// Maximum number of schedules shown before a question.
const SHOWN: usize = 10;

/// One schedule, or many.
#[derive(Debug, clap::Args)]
pub struct ScheduleSelector {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT", requires = "name", required_unless_present = "many")]
    one: Option<String>,

    /// The schedule's name
    name: Option<String>,

    #[command(flatten)]
    many: ScheduleFilterArgs,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// A filter of many schedules.
#[derive(Debug, clap::Args)]
#[group(id = "many", multiple = true, conflicts_with = "one")]
struct ScheduleFilterArgs {
    /// Every schedule of the host
    #[arg(long, conflicts_with_all = ["deployment", "labels"])]
    all: bool,

    /// Every schedule of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// Every schedule of deployments with this label
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
}

/// A schedule, in the form in which a question shows it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ScheduleBrief {
    deployment: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<String>,
}

impl Row for ScheduleBrief {
    const HEADS: &'static [&'static str] = &["DEPLOYMENT", "SCHEDULE", "STATE"];

    fn cells(&self) -> Vec<String> {
        let state = crate::deployment::list::paused(self.paused.as_ref()).unwrap_or_else(|| "active".to_owned());
        vec![self.deployment.clone(), self.name.clone(), state]
    }
}

impl ScheduleSelector {
    /// Reads the schedules that an action on many would affect. Labels are those of their
    /// deployments.
    async fn find(&self, client: &Client) -> Result<Vec<ScheduleBrief>, CliError> {
        let query = self.many.deployment.as_ref().map(|name| format!("?deployment={}", encoded(name)));
        let mut found: Vec<ScheduleBrief> = client.all(&format!("/v1/schedules{}", query.unwrap_or_default())).await?;
        if !self.many.labels.is_empty() {
            let mut fits = BTreeMap::new();
            for name in found.iter().map(|schedule| schedule.deployment.clone()).collect::<BTreeSet<_>>() {
                let deployment: Value = client.get(&format!("/v1/deployments/{}", encoded(&name))).await?;
                let has = |label: &String| {
                    label.split_once('=').is_some_and(|(key, value)| deployment["manifest"]["labels"][key] == value)
                };
                fits.insert(name, self.many.labels.iter().all(has));
            }
            found.retain(|schedule| fits.get(&schedule.deployment) == Some(&true));
        }
        Ok(found)
    }

    fn one(&self) -> Option<(&str, &str)> {
        self.one.as_deref().zip(self.name.as_deref())
    }

    /// Builds the filter of an action on many.
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

/// Arguments of `tidemill schedules pause`.
#[derive(Debug, clap::Args)]
pub struct SchedulePauseArgs {
    #[command(flatten)]
    whom: ScheduleSelector,

    /// The reason, kept as a note
    #[arg(long, default_value = "")]
    note: String,
}

/// Pauses one or many schedules.
pub async fn pause(args: &SchedulePauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = args.whom.one() else {
        let body = json!({ "action": "pause", "filter": args.whom.filter(), "note": args.note });
        return many("pause", &args.whom, &body, client, printer).await;
    };
    if args.whom.confirm.dry_run {
        return would("paused", deployment, name, client, printer).await;
    }
    let path = format!("/v1/schedules/{}/{}/pause", encoded(deployment), encoded(name));
    let answer = client.ask(Method::POST, &path, note(&args.note), &[], Duration::ZERO).await?;
    let record: Value = answer.json().unwrap_or_default();
    printer.record(&record, &format!("{deployment}/{name} paused"));
    Ok(())
}

/// Resumes one or many schedules.
pub async fn resume(whom: &ScheduleSelector, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = whom.one() else {
        let body = json!({ "action": "resume", "filter": whom.filter() });
        return many("resume", whom, &body, client, printer).await;
    };
    if whom.confirm.dry_run {
        return would("resumed", deployment, name, client, printer).await;
    }
    let record = client.post(&format!("/v1/schedules/{}/{}/resume", encoded(deployment), encoded(name))).await?;
    printer.record(&record, &format!("{deployment}/{name} resumed"));
    Ok(())
}

/// Resyncs one or many schedules.
pub async fn resync(whom: &ScheduleSelector, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = whom.one() else {
        let body = json!({ "action": "resync", "filter": whom.filter() });
        return many("resync", whom, &body, client, printer).await;
    };
    if whom.confirm.dry_run {
        return would("resynced", deployment, name, client, printer).await;
    }
    let record = client.post(&format!("/v1/schedules/{}/{}/resync", encoded(deployment), encoded(name))).await?;
    let next = record["next"].as_str().map(|next| format!(", next at {next}")).unwrap_or_default();
    printer.record(&record, &format!("{deployment}/{name} follows the clock{next}"));
    Ok(())
}

fn done_as(verb: &str) -> &'static str {
    match verb {
        "pause" => "paused",
        "resume" => "resumed",
        _ => "resynced",
    }
}

/// Shows one schedule that would be changed.
async fn would(done: &str, deployment: &str, name: &str, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let schedule: ScheduleBrief =
        client.get(&format!("/v1/schedules/{}/{}", encoded(deployment), encoded(name))).await?;
    printer.record(&schedule, &format!("{deployment}/{name} would be {done}; nothing was changed"));
    Ok(())
}

async fn many(
    verb: &str,
    whom: &ScheduleSelector,
    body: &Value,
    client: &Client,
    printer: &Printer,
) -> Result<(), CliError> {
    if whom.confirm.dry_run || whom.confirm.asks() {
        let mut found = whom.find(client).await?;
        found.retain(|schedule| match verb {
            "resync" => schedule.silent_until.is_some(),
            verb => schedule.paused.is_some() == (verb == "resume"),
        });
        if whom.confirm.dry_run {
            printer.rows(&found, "no schedule matches");
            printer.note(&format!("{} schedules would be {}; nothing was changed", found.len(), done_as(verb)));
            return Ok(());
        }
        found.iter().take(SHOWN).for_each(|schedule| printer.note(schedule.cells().join("  ").trim_end()));
        let question = format!("{}{} {} schedules?", verb[..1].to_ascii_uppercase(), &verb[1..], found.len());
        whom.confirm.ask(&question, printer)?;
    }
    let body = body.to_string().into_bytes();
    let answer = client.ask(Method::POST, "/v1/schedules/actions", body, &[], Duration::ZERO).await?;
    operation::follow(operation::begun(&answer)?, "tidemill schedules list", client, printer).await
}

/// Triggers a schedule once; prints the run's id.
pub async fn trigger(which: &ScheduleRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let record = client.post(&format!("{}/trigger", which.path())).await?;
    let run: Run = serde_json::from_value(record.clone()).unwrap_or_default();
    printer.record(&record, &run.id);
    Ok(())
}
