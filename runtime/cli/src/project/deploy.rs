//! `tidemill deploy [DIR]`: uploads a project's component and deploys its manifest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::manifest::Source;
use tidemill_core::{ComponentDigest, DeploymentName, Timestamp};

use super::Project;
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::schedule::upcoming::{FIRINGS, UpcomingFirings};
use crate::when::relative;
use crate::wire::bytes;

/// Arguments of `tidemill deploy`.
#[derive(Debug, clap::Args)]
pub struct DeployArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,

    /// Deploy under this name instead of the manifest's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Build it first
    #[arg(long, short)]
    build: bool,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(args: &DeployArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut project = Project::read(&args.dir)?;
    if args.build {
        super::build::build(&project, printer)?;
    }
    if let Some(name) = &args.name {
        let name = name
            .parse()
            .map_err(|bad: tidemill_core::ids::InvalidName| CliError::usage(bad.to_string(), "choose another name"))?;
        project.file.manifest.name = Some(name);
    }
    let component = project.component_bytes()?;
    if let (Some(path), Some(bytes)) = (project.component(), &component) {
        say_what_is_sent(&project, &path, bytes, printer);
    }
    let done = if args.dry_run {
        super::rehearse::rehearse(&project, component, client, printer).await
    } else {
        deploy(&project, component, client, printer).await
    };
    let done = done.map_err(|error| project.with_lines(error))?;
    printer.record(&done.record, &done.text(FIRINGS));
    Ok(())
}

/// Shows which bytes are sent, and warns if they are older than the sources. After `--build` they
/// cannot be older.
fn say_what_is_sent(project: &Project, path: &Path, component: &[u8], printer: &Printer) {
    let built = std::fs::metadata(path).and_then(|about| about.modified()).ok();
    let built = built.and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
    let built = built.and_then(|since| u64::try_from(since.as_millis()).ok()).map(Timestamp::from_millis);
    let built = built.map(|at| format!(", built {}", relative(at, SystemClock.now()))).unwrap_or_default();
    let digest = crate::wire::short_digest(&ComponentDigest::of(component).to_string());
    printer.note(&format!("{} ({}, {digest}{built})", path.display(), bytes(component.len() as u64)));
    if let Some(stale) = super::sources::newer_than(&project.folder, path) {
        printer.warn(&format!(
            "{} was changed {} after the component was built: this is the old build; `tidemill deploy --build` builds it first",
            stale.source.display(),
            tidemill_core::wire::duration_text(stale.seconds.saturating_mul(1_000)),
        ));
    }
}

/// The result of a deployment.
#[derive(Debug)]
pub struct DeployReport {
    /// The host's answer.
    pub record: Value,
    pub(super) name: String,
    pub(super) dry_run: bool,
}

impl DeployReport {
    /// Formats the result for people: the revision, the changes, and the next firings of each
    /// schedule.
    pub fn text(&self, firings: usize) -> String {
        text(&self.name, &self.record, self.dry_run, firings)
    }
}

/// The shown fields of an upload's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UploadReport {
    warnings: Vec<Value>,
}

/// Returns the name of the deployment.
///
/// # Errors
/// If the manifest has no name.
pub(super) fn name(project: &Project) -> Result<&DeploymentName, CliError> {
    project.file.manifest.name.as_ref().ok_or_else(|| {
        CliError::usage("the manifest does not name its deployment", "write name under [deployment], or give --name")
    })
}

/// Uploads `component`, if there is one, and puts the project's manifest.
///
/// # Errors
/// An error of the host.
pub async fn deploy(
    project: &Project,
    component: Option<Vec<u8>>,
    client: &Client,
    printer: &Printer,
) -> Result<DeployReport, CliError> {
    name(project)?;
    if let (Some(component), Source::Module(reference)) = (component, &project.file.manifest.source) {
        let (module, version) = (reference.name.as_str(), reference.version.as_str());
        let path = format!("/v1/modules/{}/versions/{}", encoded(module), encoded(version));
        let size = bytes(component.len() as u64);
        let answer = client.upload(&path, component).await?;
        let what = if answer.status == StatusCode::CREATED { "uploaded" } else { "has these bytes already" };
        printer.note(&format!("{module}@{version} {what} ({size})"));
        let uploaded: UploadReport = answer.json().unwrap_or_default();
        uploaded.warnings.iter().for_each(|warning| printer.warn(&sentence(warning)));
    }
    put(project, false, client, printer).await
}

/// Puts the project's manifest.
///
/// # Errors
/// An error of the host.
pub(super) async fn put(
    project: &Project,
    dry_run: bool,
    client: &Client,
    printer: &Printer,
) -> Result<DeployReport, CliError> {
    let name = name(project)?;
    let body = serde_json::to_vec(&project.file.manifest.to_json()).unwrap_or_default();
    let path = format!("/v1/deployments/{}{}", encoded(name.as_str()), if dry_run { "?dry_run=true" } else { "" });
    let answer = client.ask(Method::PUT, &path, body, &[], Duration::ZERO).await?;
    let record: Value =
        answer.json().map_err(|why| CliError::failed(format!("the host's answer is not JSON: {why}")))?;
    for warning in record["warnings"].as_array().into_iter().flatten() {
        printer.warn(&sentence(warning));
    }
    Ok(DeployReport { record, name: name.to_string(), dry_run })
}

/// Formats a warning, which is text or a record with a message.
fn sentence(value: &Value) -> String {
    let text = value.as_str().or_else(|| value.get("message").and_then(Value::as_str));
    clean(&text.map_or_else(|| value.to_string(), str::to_owned))
}

fn text(name: &str, record: &Value, dry_run: bool, firings: usize) -> String {
    let mut lines = Vec::new();
    let changes = record["changes"].as_array().cloned().unwrap_or_default();
    let revision = record["deployment"]["revision"].as_u64();
    lines.push(match (dry_run, record["created"].as_bool(), revision) {
        (true, Some(true), _) => format!("{name} would be made"),
        (true, ..) if changes.is_empty() => format!("{name} would not change"),
        (true, ..) => format!("{name} would change in {} places", changes.len()),
        (false, Some(true), _) => format!("{name} deployed"),
        (false, _, Some(revision)) if changes.is_empty() => format!("{name} is unchanged, revision {revision}"),
        (false, _, Some(revision)) => format!("{name} deployed, revision {revision}"),
        (false, _, None) => format!("{name} deployed"),
    });
    lines.extend(self::changes(record));
    let schedules: Vec<UpcomingFirings> = serde_json::from_value(record["schedules"].clone()).unwrap_or_default();
    lines.extend(schedules.iter().map(|schedule| schedule.text(firings)));
    lines.join("\n")
}

/// Formats each changed field as one line.
pub fn changes(record: &Value) -> Vec<String> {
    let line = |change: &Value| {
        let side = |name: &str| change.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
        let pointer = clean(change["pointer"].as_str().unwrap_or_default());
        clean(&format!("  {pointer}: {} → {}", side("from"), side("to")))
    };
    record["changes"].as_array().into_iter().flatten().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_changed_field_is_listed() {
        let record = json!({"deployment": {"revision": 3}, "created": false, "changes": [{"pointer": "/priority", "from": 5, "to": 7}]});
        assert_eq!(text("uptime", &record, false, 3), "uptime deployed, revision 3\n  /priority: 5 → 7");
        assert_eq!(text("uptime", &record, true, 3), "uptime would change in 1 places\n  /priority: 5 → 7");
        assert_eq!(text("uptime", &json!({"created": true}), true, 3), "uptime would be made");
        assert_eq!(text("uptime", &json!({"created": false}), true, 3), "uptime would not change");
        assert_eq!(
            text("uptime", &json!({"deployment": {"revision": 3}, "changes": []}), false, 3),
            "uptime is unchanged, revision 3"
        );
    }
}
