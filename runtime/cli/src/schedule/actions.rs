//! `tidemill schedules pause`, `resume`, `resync` and `trigger`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidemill_api_types::{
    Deployment, PauseRequest, Run, Schedule, ScheduleAction, ScheduleActionRequest, ScheduleFilter, StoredJson,
};

use super::ScheduleRef;
use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;
use crate::query::Query;
use crate::text::paused;

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

impl ScheduleSelector {
    /// Reads the schedules that an action on many would affect. Labels are those of their
    /// deployments.
    async fn find(&self, client: &Client) -> Result<Vec<Record<Schedule<'static>>>, CliError> {
        let path = Query::default().with_each("deployment", &self.many.deployment).of_path("/v1/schedules");
        let mut found: Vec<Record<Schedule<'static>>> = client.all(&path).await?;
        if !self.many.labels.is_empty() {
            let mut fits = BTreeMap::new();
            for name in found.iter().map(|schedule| schedule.deployment.to_string()).collect::<BTreeSet<_>>() {
                let path = format!("/v1/deployments/{}", encoded(&name));
                let deployment: Deployment<'static> = client.get(&path).await?;
                let manifest = deployment.manifest.as_ref().map(StoredJson::to_value).unwrap_or_default();
                let has =
                    |label: &String| label.split_once('=').is_some_and(|(key, value)| manifest["labels"][key] == value);
                fits.insert(name, self.many.labels.iter().all(has));
            }
            found.retain(|schedule| fits.get(&*schedule.deployment) == Some(&true));
        }
        Ok(found)
    }

    fn one(&self) -> Option<(&str, &str)> {
        self.one.as_deref().zip(self.name.as_deref())
    }

    /// Builds an action on many.
    fn request(&self, action: ScheduleAction, note: Option<String>) -> ScheduleActionRequest {
        let filter = ScheduleFilter {
            all: self.many.all.then_some(true),
            deployment: self.many.deployment.clone().map(Into::into),
            label: self.many.labels.clone(),
        };
        ScheduleActionRequest { action: action.as_str().to_owned(), filter, note }
    }
}

/// Arguments of `tidemill schedules pause`.
#[derive(Debug, clap::Args)]
pub struct SchedulePauseArgs {
    #[command(flatten)]
    selector: ScheduleSelector,

    /// The reason, kept as a note
    #[arg(long, default_value = "")]
    note: String,
}

/// Pauses one or many schedules.
pub async fn pause(args: &SchedulePauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = args.selector.one() else {
        return many(ScheduleAction::Pause, Some(args.note.clone()), &args.selector, client, printer).await;
    };
    if args.selector.confirm.dry_run {
        return would("paused", deployment, name, client, printer).await;
    }
    let path = format!("/v1/schedules/{}/{}/pause", encoded(deployment), encoded(name));
    let record: Value = client.post_json(&path, &PauseRequest::with_note(&args.note)).await?;
    printer.record(&record, &format!("{deployment}/{name} paused"));
    Ok(())
}

/// Resumes one or many schedules.
pub async fn resume(selector: &ScheduleSelector, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = selector.one() else {
        return many(ScheduleAction::Resume, None, selector, client, printer).await;
    };
    if selector.confirm.dry_run {
        return would("resumed", deployment, name, client, printer).await;
    }
    let path = format!("/v1/schedules/{}/{}/resume", encoded(deployment), encoded(name));
    let record: Value = client.post(&path).await?;
    printer.record(&record, &format!("{deployment}/{name} resumed"));
    Ok(())
}

/// Resyncs one or many schedules.
pub async fn resync(selector: &ScheduleSelector, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some((deployment, name)) = selector.one() else {
        return many(ScheduleAction::Resync, None, selector, client, printer).await;
    };
    if selector.confirm.dry_run {
        return would("resynced", deployment, name, client, printer).await;
    }
    let path = format!("/v1/schedules/{}/{}/resync", encoded(deployment), encoded(name));
    let schedule: Record<Schedule<'static>> = client.post(&path).await?;
    let next = schedule.next.map(|next| format!(", next at {next}")).unwrap_or_default();
    printer.record(&schedule, &format!("{deployment}/{name} follows the clock{next}"));
    Ok(())
}

const fn done_as(action: ScheduleAction) -> &'static str {
    match action {
        ScheduleAction::Pause => "paused",
        ScheduleAction::Resume => "resumed",
        ScheduleAction::Resync => "resynced",
    }
}

/// Shows one schedule that would be changed.
async fn would(done: &str, deployment: &str, name: &str, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let schedule: Record<Schedule<'static>> =
        client.get(&format!("/v1/schedules/{}/{}", encoded(deployment), encoded(name))).await?;
    printer.record(&schedule, &format!("{deployment}/{name} would be {done}; nothing was changed"));
    Ok(())
}

async fn many(
    action: ScheduleAction,
    note: Option<String>,
    selector: &ScheduleSelector,
    client: &Client,
    printer: &Printer,
) -> Result<(), CliError> {
    if selector.confirm.dry_run || selector.confirm.is_interactive() {
        let mut found = selector.find(client).await?;
        found.retain(|schedule| match action {
            ScheduleAction::Pause => schedule.paused.is_none(),
            ScheduleAction::Resume => schedule.paused.is_some(),
            ScheduleAction::Resync => schedule.silent_until.is_some(),
        });
        if selector.confirm.dry_run {
            printer.rows(&found, "no schedule matches");
            printer.note(&format!("{} schedules would be {}; nothing was changed", found.len(), done_as(action)));
            return Ok(());
        }
        for schedule in found.iter().take(SHOWN) {
            let state = paused(schedule.paused.as_ref()).unwrap_or_else(|| "active".to_owned());
            printer.note(&format!("{}  {}  {state}", schedule.deployment, schedule.name));
        }
        let verb = action.as_str();
        let question = format!("{}{} {} schedules?", verb[..1].to_ascii_uppercase(), &verb[1..], found.len());
        selector.confirm.ask(&question, printer)?;
    }
    let operation = client.post_json("/v1/schedules/actions", &selector.request(action, note)).await?;
    operation::follow(operation, "tidemill schedules list", client, printer).await
}

/// Triggers a schedule once; prints the run's id.
pub async fn trigger(which: &ScheduleRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let run: Record<Run<'static>> = client.post(&format!("{}/trigger", which.path())).await?;
    printer.record(&run, &run.id.to_string());
    Ok(())
}
