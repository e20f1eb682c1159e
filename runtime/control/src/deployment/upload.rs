//! Uploads: a component is compiled and validated, its bytes are stored, and then a version names
//! it.

use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tidemill_core::manifest::ModuleVersion as Version;
use tidemill_core::{Code, ComponentDigest, ModuleName};
use tidemill_store::StoreError;
use tidemill_store::records::{Component, ModuleVersion, PutVersion};

use crate::control_plane::{ControlPlane, HostState, run_to_completion};
use crate::error::ControlError;

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadResult {
    /// The component.
    pub component: Component,
    /// Whether the version is new.
    pub put: PutVersion,
    /// Warnings for the author.
    pub warnings: Vec<String>,
}

impl ControlPlane {
    /// Names the component in `file` as a version of a module. The caller has computed its digest
    /// and size. The file is moved to its final path, or removed.
    ///
    /// # Errors
    /// Every problem of the component; `host/version-has-other-bytes`; errors of the store.
    pub async fn upload(
        &self,
        module: ModuleName,
        version: Version,
        file: TempPath,
        digest: ComponentDigest,
        size: u64,
    ) -> Result<UploadResult, ControlError> {
        self.0.check_open()?;
        let versions = self.0.store.versions(&module).await?;
        let same = versions.iter().find(|known| known.version == version.as_str());
        if let Some(known) = same.filter(|known| known.digest != digest) {
            let version = version.as_str().to_owned();
            let taken = StoreError::VersionTaken { module: module.to_string(), version, digest: known.digest };
            return Err(taken.into());
        }
        let known = self.0.store.component(&digest).await?;
        let place = self.0.config.components_dir.join(format!("{}.wasm", digest.hex()));
        if let (Some(component), Some(_)) = (&known, same)
            && tokio::fs::try_exists(&place).await.unwrap_or(false)
            // Bytes that were damaged since are replaced by these.
            && self.0.guests.verify(digest).await.is_ok()
        {
            let warnings = component.warnings.clone();
            return Ok(UploadResult { component: component.clone(), put: PutVersion::Same, warnings });
        }
        let now = self.0.clock.now();
        let admitted = self.0.guests.admit(&file, digest).await?;
        // Hold the lock of changes so that these bytes are not removed before the version names
        // them.
        let _turn = self.0.changes.lock().await;
        persist(file, place).await?;
        let component = Component {
            digest,
            size,
            exports: admitted.exports,
            imports: admitted.imports,
            warnings: admitted.warnings,
            uploaded_at: known.map_or(now, |component| component.uploaded_at),
            schemas: admitted.schemas,
        };
        let named = ModuleVersion { module, version: version.as_str().to_owned(), digest, created_at: now };
        let put = self.0.store.put_version(named, component.clone()).await?;
        let warnings = component.warnings.clone();
        Ok(UploadResult { component, put, warnings })
    }

    /// Deletes a component that no deployment needs: its versions, its bytes and its code.
    ///
    /// # Errors
    /// `host/component-not-found`; `host/component-in-use`.
    pub async fn delete_component(&self, digest: ComponentDigest) -> Result<(), ControlError> {
        let host = std::sync::Arc::clone(&self.0);
        run_to_completion(async move {
            let _turn = host.changes.lock().await;
            host.store.delete_component(&digest).await?;
            Self(std::sync::Arc::clone(&host)).forget_component(digest).await;
            Ok(())
        })
        .await
    }

    /// Removes the code and the bytes of a component that the store no longer names. The caller
    /// holds the lock of changes.
    pub(crate) async fn forget_component(&self, digest: ComponentDigest) {
        self.0.guests.evict(digest);
        let place = self.0.config.components_dir.join(format!("{}.wasm", digest.hex()));
        // A leftover file is harmless, and the same upload replaces it.
        if let Err(error) = tokio::fs::remove_file(&place).await {
            tracing::warn!(%digest, %error, "could not remove the bytes of a component");
        }
    }
}

impl HostState {
    /// Removes the bytes of components that the store does not name, which an interrupted upload
    /// left. Called before uploads are accepted.
    pub(crate) async fn remove_unnamed_components(&self) -> Result<(), ControlError> {
        let unread = |error: std::io::Error| {
            ControlError::refused(Code::StoreUnavailable, format!("the folder of the components: {error}"))
        };
        let mut folder = match tokio::fs::read_dir(&self.config.components_dir).await {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unread(error)),
        };
        while let Some(entry) = folder.next_entry().await.map_err(unread)? {
            let name = entry.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
            let Some(digest) = hex.and_then(|hex| format!("sha256:{hex}").parse::<ComponentDigest>().ok()) else {
                continue;
            };
            if self.store.component(&digest).await?.is_some() {
                continue;
            }
            match tokio::fs::remove_file(entry.path()).await {
                Ok(()) => tracing::info!(%digest, "removed the bytes of an interrupted upload"),
                Err(error) => tracing::warn!(%digest, %error, "could not remove the bytes of an interrupted upload"),
            }
        }
        Ok(())
    }
}

/// Moves the file to its final path and syncs both it and the folder, so that no version ever names
/// bytes that a power failure lost.
async fn persist(file: TempPath, place: PathBuf) -> Result<(), ControlError> {
    let moved = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let folder = place.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        std::fs::File::open(&file)?.sync_all()?;
        file.persist(&place).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    });
    let moved = moved.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    moved.map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Code::DiskFull,
            _ => Code::StoreUnavailable,
        };
        ControlError::refused(code, format!("could not store the component's bytes: {error}"))
    })
}
