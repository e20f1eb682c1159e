//! `tidemill deploy --dry-run`: takes the steps of a deployment without uploading or changing
//! anything.

use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::manifest::{ModuleRef, Source};
use tidemill_core::{Code, ComponentDigest, Manifest};

use super::Project;
use super::check::CheckedComponent;
use super::deploy::{self, DeployReport};
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::schedule::upcoming::UpcomingFirings;

/// A module's versions on the host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Module {
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    version: String,
    component: String,
}

/// The result that an upload of a component would have.
#[derive(Debug, PartialEq, Eq)]
enum UploadPreview {
    /// The version is new.
    New,
    /// The version exists with these bytes.
    Same,
    /// The version exists with the bytes of this digest.
    Other(String),
}

/// Computes what the upload and the manifest would change.
///
/// # Errors
/// The refusal that a real deployment would get.
pub async fn rehearse(
    project: &Project,
    component: Option<Vec<u8>>,
    client: &Client,
    printer: &Printer,
) -> Result<DeployReport, CliError> {
    deploy::name(project)?;
    let (Some(component), Source::Module(reference)) = (component, &project.file.manifest.source) else {
        return deploy::put(project, true, client, printer).await;
    };
    let digest = ComponentDigest::of(&component).to_string();
    match upload(reference, &digest, client).await? {
        UploadPreview::Same => {
            printer.note(&format!("{reference} has these bytes already"));
            deploy::put(project, true, client, printer).await
        }
        UploadPreview::Other(present) => Err(CliError::Failed {
            code: Some(Code::VersionHasOtherBytes.as_str().to_owned()),
            message: format!("{reference} already exists with other bytes: {present}"),
            fix: Some("give it a new version under [module] in tidemill.toml".to_owned()),
        }),
        UploadPreview::New => {
            printer.note(&format!(
                "{reference} would be uploaded; it is checked on this machine, and by the host's own rules when it is deployed"
            ));
            checked_here(project, client, printer).await
        }
    }
}

async fn upload(reference: &ModuleRef, digest: &str, client: &Client) -> Result<UploadPreview, CliError> {
    match client.get::<Module>(&format!("/v1/modules/{}", encoded(reference.name.as_str()))).await {
        Ok(module) => Ok(compare(&module, reference.version.as_str(), digest)),
        Err(error) if error.code() == Some(Code::ModuleNotFound.as_str()) => Ok(UploadPreview::New),
        Err(error) => Err(error),
    }
}

fn compare(module: &Module, version: &str, digest: &str) -> UploadPreview {
    match module.versions.iter().find(|known| known.version == version) {
        None => UploadPreview::New,
        Some(known) if known.component == digest => UploadPreview::Same,
        Some(known) => UploadPreview::Other(known.component.clone()),
    }
}

/// The host does not have the component, so this program checks it as the host would.
async fn checked_here(project: &Project, client: &Client, printer: &Printer) -> Result<DeployReport, CliError> {
    let manifest = &project.file.manifest;
    if let Some(path) = project.component() {
        CheckedComponent::of(&path, printer).await?.fits(manifest)?;
    }
    let name = deploy::name(project)?;
    let present: Option<Value> = match client.get(&format!("/v1/deployments/{}", encoded(name.as_str()))).await {
        Ok(present) => Some(present),
        Err(error) if error.code() == Some(Code::DeploymentNotFound.as_str()) => None,
        Err(error) => return Err(error),
    };
    let before =
        present.as_ref().and_then(|present| Manifest::parse_json(present["manifest"].to_string().as_bytes()).ok());
    let record = json!({
        "deployment": {
            "name": name.as_str(),
            "revision": present.as_ref().and_then(|present| present["revision"].as_u64()).unwrap_or_default() + 1,
        },
        "created": present.is_none(),
        "dry_run": true,
        "changes": before.map(|before| manifest.changes_from(&before)).unwrap_or_default(),
        "warnings": [],
        "schedules": UpcomingFirings::of(manifest, SystemClock.now()),
    });
    Ok(DeployReport { record, name: name.to_string(), dry_run: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_with_other_bytes_is_distinguished_from_one_with_the_same() {
        let known = Version { version: "1.0.0".into(), component: "sha256:a".into() };
        let module = Module { versions: vec![known] };
        assert_eq!(compare(&module, "1.0.0", "sha256:a"), UploadPreview::Same);
        assert_eq!(compare(&module, "1.0.0", "sha256:b"), UploadPreview::Other("sha256:a".into()));
        assert_eq!(compare(&module, "1.0.1", "sha256:b"), UploadPreview::New);
    }
}
