//! `tidemill deploy [DIR]`: uploads a project's component and makes the deployment what its manifest says.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tidemill_core::Code;
use tidemill_core::manifest::Source;

use super::Project;
use crate::client::{Client, encoded};
use crate::error::{CliError, Problem};
use crate::printer::{Printer, clean};
use crate::schedule::firings::{FIRINGS, Firings};
use crate::wire::bytes;

/// What to deploy.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,

    /// Deploy it under this name and not the manifest's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Build it first
    #[arg(long, short)]
    build: bool,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut project = Project::read(&args.dir)?;
    if args.build {
        super::build::build(&project, printer)?;
    }
    if let Some(name) = &args.name {
        let name = name
            .parse()
            .map_err(|bad: tidemill_core::ids::BadName| CliError::usage(bad.to_string(), "choose another name"))?;
        project.file.manifest.name = Some(name);
    }
    let bytes = if args.dry_run { None } else { project.component_bytes()? };
    let done = deploy(&project, bytes, args.dry_run, client, printer).await?;
    printer.record(&done.record, &done.text(FIRINGS));
    Ok(())
}

/// What came of it.
#[derive(Debug)]
pub struct Deployed {
    /// The host's answer.
    pub record: Value,
    name: String,
    dry_run: bool,
}

impl Deployed {
    /// The same for people: the revision, what changed, and so many firings of each schedule.
    pub fn text(&self, firings: usize) -> String {
        text(&self.name, &self.record, self.dry_run, firings)
    }
}

/// An upload's answer, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Uploaded {
    warnings: Vec<Value>,
}

/// Uploads `component`, where there is one, and puts the project's manifest.
///
/// # Errors
/// What the host refuses.
pub async fn deploy(
    project: &Project,
    component: Option<Vec<u8>>,
    dry_run: bool,
    client: &Client,
    printer: &Printer,
) -> Result<Deployed, CliError> {
    let manifest = &project.file.manifest;
    let name = manifest.name.as_ref().ok_or_else(|| {
        CliError::usage("the manifest does not name its deployment", "write name under [deployment], or give --name")
    })?;
    if let (Some(component), Source::Module(reference)) = (component, &manifest.source) {
        let (module, version) = (reference.name.as_str(), reference.version.as_str());
        let size = component.len() as u64;
        let path = format!("/v1/modules/{}/versions/{}", encoded(module), encoded(version));
        let answer = client.upload(&path, component).await?;
        let what = if answer.status == StatusCode::CREATED { "uploaded" } else { "has these bytes already" };
        printer.note(&format!("{module}@{version} {what} ({})", bytes(size)));
        let uploaded: Uploaded = answer.json().unwrap_or_default();
        uploaded.warnings.iter().for_each(|warning| printer.warn(&sentence(warning)));
    }
    let body = serde_json::to_vec(&manifest.to_json()).unwrap_or_default();
    let path = format!("/v1/deployments/{}{}", encoded(name.as_str()), if dry_run { "?dry_run=true" } else { "" });
    let answer = client.ask(Method::PUT, &path, body, &[], Duration::ZERO).await.map_err(|error| match error {
        CliError::Refused(problem) if dry_run && problem.code == Code::ModuleNotFound.as_str() => {
            let fix = "A dry run uploads nothing, and looks at what is on the host: deploy it without --dry-run, or `tidemill check` it.";
            CliError::Refused(Box::new(Problem { fix: fix.to_owned(), ..*problem }))
        }
        error => error,
    })?;
    let record: Value =
        answer.json().map_err(|why| CliError::failed(format!("the host's answer is not JSON: {why}")))?;
    for warning in record["warnings"].as_array().into_iter().flatten() {
        printer.warn(&sentence(warning));
    }
    Ok(Deployed { record, name: name.to_string(), dry_run })
}

/// A warning or the like, which may be text or a record with a message.
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
    for change in &changes {
        let side = |name: &str| change.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
        lines.push(format!("  {}: {} → {}", change["pointer"].as_str().unwrap_or_default(), side("from"), side("to")));
    }
    let schedules: Vec<Firings> = serde_json::from_value(record["schedules"].clone()).unwrap_or_default();
    lines.extend(schedules.iter().map(|schedule| schedule.text(firings)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_said_place_by_place() {
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
