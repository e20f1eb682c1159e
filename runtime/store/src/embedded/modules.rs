//! Components, and the module versions that refer to them.

use tidemill_core::{ComponentDigest, DeploymentName, ModuleName};

use super::codec::decode;
use super::read_tx::{ReadTx, prefix_range};
use super::tables::{COMPONENTS, DEPLOYMENTS, MODULES, OPEN, run_at_end, under};
use super::write_tx::WriteTx;
use super::{deployments, runs};
use crate::error::StoreError;
use crate::records::{Component, ModuleVersion, Page, PageRequest, PutVersion};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn put(commit: &mut WriteTx<'_, '_>, version: &ModuleVersion, component: &Component) -> Result<PutVersion> {
    let key = under(version.module.as_str(), version.version.as_bytes());
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

pub(super) fn component(store: &impl ReadTx, digest: &ComponentDigest) -> Result<Option<Component>> {
    store.record(COMPONENTS, digest.as_bytes())
}

pub(super) fn versions(store: &impl ReadTx, module: &ModuleName) -> Result<Vec<ModuleVersion>> {
    let found = store.scan_prefix(MODULES, &under(module.as_str(), &[]), usize::MAX)?;
    found.iter().map(|(_, bytes)| decode(MODULES, bytes)).collect()
}

pub(super) fn list(store: &impl ReadTx, page: &PageRequest) -> Result<Page<ModuleVersion>> {
    store.page(MODULES, &[], false, page)?.try_map(|(_, bytes)| decode(MODULES, &bytes))
}

pub(super) fn delete(commit: &mut WriteTx<'_, '_>, digest: &ComponentDigest) -> Result<()> {
    if component(commit, digest)?.is_none() {
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
    for (_, bytes) in store.range(DEPLOYMENTS, prefix_range(&[]), false, usize::MAX)? {
        let deployment = deployments::read(&bytes)?;
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
