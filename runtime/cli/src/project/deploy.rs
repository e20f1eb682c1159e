//! `tidemill deploy [DIR]`: uploads a project's component and deploys its manifest.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tidemill_api_types::{DeployResult, ManifestChange, UploadResult};
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::manifest::Source;
use tidemill_core::{ComponentDigest, DeploymentName, Timestamp};

use super::Project;
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::schedule::upcoming::{self, FIRINGS};
use crate::text::{bytes, short_digest};
use crate::when::relative;

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
        show_component(&project, &path, bytes, printer);
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
fn show_component(project: &Project, path: &Path, component: &[u8], printer: &Printer) {
    let built = std::fs::metadata(path).and_then(|about| about.modified()).ok();
    let built = built.and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
    let built = built.and_then(|since| u64::try_from(since.as_millis()).ok()).map(Timestamp::from_millis);
    let built = built.map(|at| format!(", built {}", relative(at, SystemClock.now()))).unwrap_or_default();
    let digest = short_digest(&ComponentDigest::of(component));
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
    pub record: Record<DeployResult<'static>>,
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
        if let Ok(uploaded) = answer.json::<UploadResult<'static>>() {
            uploaded.component.warnings.iter().for_each(|warning| printer.warn(&clean(warning)));
        }
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
    let record: Record<DeployResult<'static>> = client.ask(Method::PUT, &path, body, &[]).await?;
    record.warnings.iter().for_each(|warning| printer.warn(&clean(warning)));
    Ok(DeployReport { record, name: name.to_string(), dry_run })
}

fn text(name: &str, result: &DeployResult<'_>, dry_run: bool, firings: usize) -> String {
    let (places, revision) = (result.changes.len(), result.deployment.revision);
    let mut lines = vec![match (dry_run, result.created, places) {
        (true, true, _) => format!("{name} would be made"),
        (true, false, 0) => format!("{name} would not change"),
        (true, false, _) => format!("{name} would change in {places} places"),
        (false, true, _) => format!("{name} deployed"),
        (false, false, 0) => format!("{name} is unchanged, revision {revision}"),
        (false, false, _) => format!("{name} deployed, revision {revision}"),
    }];
    lines.extend(changes(result));
    lines.extend(result.schedules.iter().map(|next| upcoming::text(next, firings)));
    lines.join("\n")
}

/// Formats each changed field as one line.
pub fn changes(result: &DeployResult<'_>) -> Vec<String> {
    let side =
        |value: &Option<Cow<'_, Value>>| value.as_ref().map_or_else(|| "nothing".to_owned(), |it| it.to_string());
    let line = |change: &ManifestChange<'_>| {
        clean(&format!("  {}: {} → {}", change.pointer, side(&change.from), side(&change.to)))
    };
    result.changes.iter().map(line).collect()
}

/// Builds the result of a deployment with the given fields.
#[cfg(test)]
pub fn test_result(more: &Value) -> DeployResult<'static> {
    let mut json = serde_json::json!({
        "deployment": {
            "name": "hello", "revision": 3, "component": format!("sha256:{}", "0".repeat(64)),
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        },
        "created": false, "dry_run": false, "changes": [], "warnings": [], "schedules": [],
    });
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_changed_field_is_listed() {
        let changed = test_result(&json!({ "changes": [{ "pointer": "/priority", "from": 5, "to": 7 }] }));
        assert_eq!(text("uptime", &changed, false, 3), "uptime deployed, revision 3\n  /priority: 5 → 7");
        assert_eq!(text("uptime", &changed, true, 3), "uptime would change in 1 places\n  /priority: 5 → 7");
        assert_eq!(text("uptime", &test_result(&json!({ "created": true })), true, 3), "uptime would be made");
        let same = test_result(&json!({}));
        assert_eq!(text("uptime", &same, true, 3), "uptime would not change");
        assert_eq!(text("uptime", &same, false, 3), "uptime is unchanged, revision 3");
    }
}
