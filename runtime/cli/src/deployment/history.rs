//! `tidemill deployments history`: the revisions of a deployment, with what each changed.

use serde::Serialize;
use serde_json::Value;
use tidemill_api_types::{Deployment, StoredJson, Time};
use tidemill_core::{ComponentDigest, Manifest};

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};
use crate::text::short_digest;

/// Maximum number of changed fields that a table names.
const SHOWN: usize = 4;

/// Arguments of `tidemill deployments history`.
#[derive(Debug, clap::Args)]
pub struct DeploymentHistoryArgs {
    /// The deployment
    name: String,

    /// Maximum number of revisions, the newest first
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// A revision with its differences from the previous one.
#[derive(Debug, Serialize)]
struct RevisionRow {
    revision: u64,
    component: ComponentDigest,
    made_at: Time,
    /// The module version that the manifest names, or the component.
    source: String,
    /// Pointers of the changed fields; `None` for the first revision, or if a manifest cannot be
    /// parsed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<String>>,
}

impl Row for RevisionRow {
    const HEADS: &'static [&'static str] = &["REVISION", "MADE", "RUNS", "COMPONENT", "CHANGED"];

    fn cells(&self) -> Vec<String> {
        let changed = match &self.changed {
            None => String::new(),
            Some(pointers) => {
                let mut words: Vec<_> = pointers.iter().take(SHOWN).map(|pointer| clean(pointer)).collect();
                if pointers.len() > SHOWN {
                    words.push(format!("{} more", pointers.len() - SHOWN));
                }
                words.join(", ")
            }
        };
        vec![
            self.revision.to_string(),
            self.made_at.to_string(),
            clean(&self.source),
            short_digest(&self.component),
            changed,
        ]
    }
}

/// Runs the command.
pub async fn run(args: &DeploymentHistoryArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/deployments/{}/revisions", encoded(&args.name));
    let limit = args.limit as usize;
    // Read one more revision, to compute the changes of the last one shown.
    let revisions: Vec<Deployment<'static>> = client.list(&path, limit + 1).await?;
    let mut lines = lines(&revisions);
    lines.truncate(limit);
    printer.rows(&lines, "no revisions");
    Ok(())
}

fn lines(revisions: &[Deployment<'_>]) -> Vec<RevisionRow> {
    let line = |(at, revision): (usize, &Deployment<'_>)| RevisionRow {
        revision: revision.revision,
        component: revision.component,
        made_at: revision.updated_at,
        source: manifest(revision)["module"].as_str().unwrap_or("component").to_owned(),
        changed: revisions.get(at + 1).and_then(|before| changed(before, revision)),
    };
    revisions.iter().enumerate().map(line).collect()
}

fn manifest(revision: &Deployment<'_>) -> Value {
    revision.manifest.as_ref().map(StoredJson::to_value).unwrap_or_default()
}

fn changed(before: &Deployment<'_>, after: &Deployment<'_>) -> Option<Vec<String>> {
    let read = |revision: &Deployment<'_>| Manifest::parse_json(manifest(revision).to_string().as_bytes()).ok();
    let changes = read(after)?.changes_from(&read(before)?);
    let mut pointers: Vec<_> = changes.into_iter().map(|change| change.pointer).collect();
    if before.component != after.component && !pointers.iter().any(|pointer| pointer == "/module") {
        pointers.insert(0, "/component".to_owned());
    }
    pointers.dedup();
    Some(pointers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::Timestamp;

    use super::*;

    #[test]
    fn a_revision_names_the_fields_that_it_changed() {
        let revision = |revision, manifest| Deployment {
            name: "hello".into(),
            revision,
            component: ComponentDigest::of(b""),
            paused: None,
            breaker: None,
            created_at: Timestamp::from_millis(0).into(),
            updated_at: Timestamp::from_millis(0).into(),
            manifest: Some(StoredJson::Value(manifest)),
        };
        let lines = lines(&[
            revision(2, json!({ "module": "hello@0.2.0", "priority": 7 })),
            revision(1, json!({ "module": "hello@0.1.0" })),
        ]);
        assert_eq!(lines[0].changed.as_deref(), Some(&["/module".to_owned(), "/priority".to_owned()][..]));
        assert_eq!(lines[0].cells()[2], "hello@0.2.0");
        assert_eq!(lines[1].cells()[4], "");
    }
}
