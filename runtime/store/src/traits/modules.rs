//! Components and modules.

use async_trait::async_trait;
use tidemill_core::{ComponentDigest, ModuleName};

use crate::error::StoreError;
use crate::records::{Component, ModuleVersion, Page, PageRequest, PutVersion};

/// Components, and the versions of modules that refer to them.
#[async_trait]
pub trait ModuleStore: Send + Sync + 'static {
    /// Adds a version of a module that refers to `component`.
    ///
    /// # Errors
    /// [`StoreError::VersionTaken`] if the version refers to other bytes.
    async fn put_version(&self, version: ModuleVersion, component: Component) -> Result<PutVersion, StoreError>;
    /// Returns the component with a digest.
    async fn component(&self, digest: &ComponentDigest) -> Result<Option<Component>, StoreError>;
    /// Returns every version of a module, sorted by the text of the version.
    async fn versions(&self, module: &ModuleName) -> Result<Vec<ModuleVersion>, StoreError>;
    /// Lists all versions of all modules, sorted by module and version.
    async fn modules(&self, page: PageRequest) -> Result<Page<ModuleVersion>, StoreError>;
    /// Deletes a component and the versions that refer to it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the deployments whose current revision uses the component, or
    /// that have unfinished runs of it.
    async fn delete_component(&self, digest: &ComponentDigest) -> Result<(), StoreError>;
}
