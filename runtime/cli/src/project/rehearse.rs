//! `tidemill deploy --dry-run`: takes the steps of a deployment without uploading or changing
//! anything.

use std::borrow::Cow;

use tidemill_api_types::{DeployResult, Deployment, ManifestChange, Module, StoredJson};
use tidemill_core::clock::{Clock as _, SystemClock};
use tidemill_core::manifest::{self, ModuleRef, Source};
use tidemill_core::{Code, ComponentDigest, Manifest};

use super::Project;
use super::check::CheckedComponent;
use super::deploy::{self, DeployReport};
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::schedule::upcoming::upcoming;

/// The result that an upload of a component would have.
#[derive(Debug, PartialEq, Eq)]
enum UploadPreview {
    /// The version is new.
    New,
    /// The version exists with these bytes.
    Same,
    /// The version exists with the bytes of this digest.
    Other(ComponentDigest),
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
    let digest = ComponentDigest::of(&component);
    match upload(reference, digest, client).await? {
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
            check_locally(project, digest, client, printer).await
        }
    }
}

async fn upload(reference: &ModuleRef, digest: ComponentDigest, client: &Client) -> Result<UploadPreview, CliError> {
    match client.get::<Module<'static>>(&format!("/v1/modules/{}", encoded(reference.name.as_str()))).await {
        Ok(module) => Ok(compare(&module, reference.version.as_str(), digest)),
        Err(error) if error.code() == Some(Code::ModuleNotFound.as_str()) => Ok(UploadPreview::New),
        Err(error) => Err(error),
    }
}

fn compare(module: &Module<'_>, version: &str, digest: ComponentDigest) -> UploadPreview {
    match module.versions.iter().find(|known| known.version == version) {
        None => UploadPreview::New,
        Some(known) if known.component == digest => UploadPreview::Same,
        Some(known) => UploadPreview::Other(known.component),
    }
}

/// The host does not have the component, so this program checks it as the host would.
async fn check_locally(
    project: &Project,
    component: ComponentDigest,
    client: &Client,
    printer: &Printer,
) -> Result<DeployReport, CliError> {
    let manifest = &project.file.manifest;
    if let Some(path) = project.component() {
        CheckedComponent::of(&path, printer).await?.fits(manifest)?;
    }
    let name = deploy::name(project)?;
    let present: Option<Deployment<'static>> =
        match client.get(&format!("/v1/deployments/{}", encoded(name.as_str()))).await {
            Ok(present) => Some(present),
            Err(error) if error.code() == Some(Code::DeploymentNotFound.as_str()) => None,
            Err(error) => return Err(error),
        };
    let read = |present: &Deployment<'_>| {
        Manifest::parse_json(present.manifest.as_ref()?.to_value().to_string().as_bytes()).ok()
    };
    let changes = present.as_ref().and_then(read).map(|before| manifest.changes_from(&before)).unwrap_or_default();
    let change = |change: manifest::ManifestChange| ManifestChange {
        pointer: change.pointer.into(),
        from: change.from.map(Cow::Owned),
        to: change.to.map(Cow::Owned),
    };
    let now = SystemClock.now();
    let result = DeployResult {
        deployment: Deployment {
            name: name.to_string().into(),
            revision: present.as_ref().map_or(0, |present| present.revision) + 1,
            component,
            paused: present.as_ref().and_then(|present| present.paused.clone()),
            breaker: None,
            created_at: present.as_ref().map_or_else(|| now.into(), |present| present.created_at),
            updated_at: now.into(),
            manifest: Some(StoredJson::Value(manifest.to_json())),
        },
        created: present.is_none(),
        dry_run: true,
        changes: changes.into_iter().map(change).collect(),
        warnings: Cow::default(),
        schedules: upcoming(manifest, now),
    };
    Ok(DeployReport { record: Record::of(result), name: name.to_string(), dry_run: true })
}

#[cfg(test)]
mod tests {
    use tidemill_api_types::ModuleVersion;
    use tidemill_core::Timestamp;

    use super::*;

    #[test]
    fn a_version_with_other_bytes_is_distinguished_from_one_with_the_same() {
        let (known, other) = (ComponentDigest::of(b"a"), ComponentDigest::of(b"b"));
        let version = ModuleVersion {
            module: "m".into(),
            version: "1.0.0".into(),
            component: known,
            created_at: Timestamp::from_millis(0).into(),
        };
        let module = Module { name: "m".into(), versions: vec![version] };
        assert_eq!(compare(&module, "1.0.0", known), UploadPreview::Same);
        assert_eq!(compare(&module, "1.0.0", other), UploadPreview::Other(known));
        assert_eq!(compare(&module, "1.0.1", other), UploadPreview::New);
    }
}
