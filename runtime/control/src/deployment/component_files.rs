//! The files of the components.

use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tidemill_core::{Code, ComponentDigest};
use tidemill_store::Store;

use crate::error::ControlError;
use crate::guests::GuestExecutor;

/// Returns the path of a component.
pub(crate) fn path_of(components_dir: &Path, digest: ComponentDigest) -> PathBuf {
    components_dir.join(format!("{}.wasm", digest.hex()))
}

/// Removes the code and the bytes of a component that the store no longer names. The caller holds
/// the lock of changes.
pub(crate) async fn remove_component(guests: &dyn GuestExecutor, components_dir: &Path, digest: ComponentDigest) {
    guests.evict(digest);
    // A leftover file is harmless, and the same upload replaces it.
    if let Err(error) = tokio::fs::remove_file(path_of(components_dir, digest)).await {
        tracing::warn!(%digest, %error, "could not remove the bytes of a component");
    }
}

/// Removes the bytes of components that the store does not name, which an interrupted upload
/// left. Called before uploads are accepted.
pub(crate) async fn remove_unnamed_components(store: &dyn Store, components_dir: &Path) -> Result<(), ControlError> {
    let unread = |error: std::io::Error| {
        ControlError::refused(Code::StoreUnavailable, format!("the folder of the components: {error}"))
    };
    let mut folder = match tokio::fs::read_dir(components_dir).await {
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
        if store.component(&digest).await?.is_some() {
            continue;
        }
        match tokio::fs::remove_file(entry.path()).await {
            Ok(()) => tracing::info!(%digest, "removed the bytes of an interrupted upload"),
            Err(error) => tracing::warn!(%digest, %error, "could not remove the bytes of an interrupted upload"),
        }
    }
    Ok(())
}

/// Moves the file to its final path and syncs both it and the folder, so that no version ever names
/// bytes that a power failure lost.
pub(crate) async fn persist(file: TempPath, place: PathBuf) -> Result<(), ControlError> {
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
