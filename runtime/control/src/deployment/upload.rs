//! Uploads: a component is compiled and validated, its bytes are stored, and then a version names
//! it.

use tempfile::TempPath;
use tidemill_core::manifest::ModuleVersion as Version;
use tidemill_core::{ComponentDigest, ModuleName};
use tidemill_store::StoreError;
use tidemill_store::records::{Component, ModuleVersion, PutVersion};

use crate::deployment::component_files::{path_of, persist, remove_component};
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

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
        self.0.shutdown.check_open()?;
        let versions = self.0.store.versions(&module).await?;
        let same = versions.iter().find(|known| known.version == version.as_str());
        if let Some(known) = same.filter(|known| known.digest != digest) {
            let version = version.as_str().to_owned();
            let taken = StoreError::VersionTaken { module: module.to_string(), version, digest: known.digest };
            return Err(taken.into());
        }
        let known = self.0.store.component(&digest).await?;
        let place = path_of(&self.0.config.components_dir, digest);
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
            remove_component(&*host.guests, &host.config.components_dir, digest).await;
            Ok(())
        })
        .await
    }
}
