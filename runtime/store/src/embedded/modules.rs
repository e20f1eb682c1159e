//! Components, and the module versions that refer to them.

use async_trait::async_trait;
use tidemill_core::{ComponentDigest, DeploymentName, ModuleName};

use crate::embedded::codec::decode;
use crate::embedded::runs;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{COMPONENTS, DEPLOYMENTS, MODULES, OPEN, name_key, run_at_end};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{Component, Deployment, ModuleVersion, Page, PageRequest, PutVersion};
use crate::traits::ModuleStore;

#[async_trait]
impl ModuleStore for EmbeddedStore {
    async fn put_version(&self, version: ModuleVersion, component: Component) -> Result<PutVersion> {
        self.commit(move |c| put(c, &version, &component)).await
    }

    async fn component(&self, digest: &ComponentDigest) -> Result<Option<Component>> {
        self.latest().record(COMPONENTS, digest.as_bytes())
    }

    async fn versions(&self, module: &ModuleName) -> Result<Vec<ModuleVersion>> {
        self.latest().records(MODULES, &name_key(module.as_str(), &[]))
    }

    async fn modules(&self, page: PageRequest) -> Result<Page<ModuleVersion>> {
        self.latest().record_page(MODULES, &[], false, &page)
    }

    async fn delete_component(&self, digest: &ComponentDigest) -> Result<()> {
        let digest = *digest;
        self.commit(move |c| delete(c, &digest)).await
    }
}

fn put(commit: &mut WriteTx<'_, '_>, version: &ModuleVersion, component: &Component) -> Result<PutVersion> {
    let key = name_key(version.module.as_str(), version.version.as_bytes());
    if let Some(present) = commit.record::<ModuleVersion>(MODULES, &key)? {
        return if present.digest == version.digest {
            Ok(PutVersion::Same)
        } else {
            Err(StoreError::VersionTaken {
                module: version.module.to_string(),
                version: version.version.clone(),
                digest: present.digest,
            })
        };
    }
    if commit.bytes(COMPONENTS, version.digest.as_bytes())?.is_none() {
        commit.put_record(COMPONENTS, version.digest.as_bytes(), component)?;
    }
    commit.put_record(MODULES, &key, version)?;
    Ok(PutVersion::Created)
}

pub(crate) fn delete(commit: &mut WriteTx<'_, '_>, digest: &ComponentDigest) -> Result<()> {
    if commit.bytes(COMPONENTS, digest.as_bytes())?.is_none() {
        return Err(StoreError::NotFound { kind: "component", name: digest.to_string() });
    }
    let users = users(commit, digest)?;
    if !users.is_empty() {
        return Err(StoreError::InUse { users });
    }
    for (key, bytes) in commit.range(MODULES, prefix_range(&[]), false, usize::MAX)? {
        if decode::<ModuleVersion>(MODULES, &bytes)?.digest == *digest {
            commit.delete(MODULES, &key);
        }
    }
    commit.delete(COMPONENTS, digest.as_bytes());
    Ok(())
}

/// Returns the deployments that use the component, or have unended runs of it.
fn users(store: &impl ReadTx, digest: &ComponentDigest) -> Result<Vec<DeploymentName>> {
    let mut users = Vec::new();
    for deployment in store.records::<Deployment>(DEPLOYMENTS, &[])? {
        if deployment.component == *digest {
            users.push(deployment.name);
        }
    }
    for (key, _) in store.range(OPEN, prefix_range(&[]), false, usize::MAX)? {
        let Some(id) = run_at_end(&key) else { continue };
        if let Some(run) = runs::run(store, id)?.filter(|run| run.component == *digest) {
            users.push(run.deployment);
        }
    }
    users.sort_unstable();
    users.dedup();
    Ok(users)
}
