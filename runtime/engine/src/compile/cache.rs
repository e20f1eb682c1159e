//! The code cache: one file a component, in a folder of the engine's own for each kind of code that engines make.
//!
//! Loading code trusts it as the host itself: whoever can write here can run anything in the host. So the folder is for the
//! host's user alone, a file comes whole or not at all (written beside, synced, renamed), and nothing else writes here.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidemill_core::ComponentDigest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::EngineError;
use crate::sandbox::compatibility;

/// Where compiled code lies.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    next: AtomicU64,
}

impl Cache {
    /// Opens the cache below `root` for the code of `engine`, and removes the code that other engines left there.
    ///
    /// # Errors
    /// Where the folder cannot be made, or cannot be made private.
    pub fn open(root: &Path, engine: &Engine) -> Result<Self, EngineError> {
        let io = |error| EngineError::Io { what: "the code cache", error };
        let kind = compatibility(engine);
        let folder = root.join(&kind);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io)?;
        for private in [root, &folder] {
            fs::set_permissions(private, fs::Permissions::from_mode(0o700)).map_err(io)?;
        }
        for entry in fs::read_dir(root).map_err(io)?.flatten() {
            let name = entry.file_name();
            let stale = name
                .to_str()
                .is_some_and(|name| name.len() == 16 && name != kind && name.bytes().all(|b| b.is_ascii_hexdigit()));
            if stale && let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(%error, folder = %entry.path().display(), "code of another engine could not be removed");
            }
        }
        for entry in fs::read_dir(&folder).map_err(io)?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "tmp") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder, next: AtomicU64::new(0) })
    }

    /// Whether there is code for a component.
    pub fn has(&self, digest: ComponentDigest) -> bool {
        self.path(digest).is_file()
    }

    /// A file to write code to.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join(format!("{}-{}.tmp", std::process::id(), self.next.fetch_add(1, Relaxed)))
    }

    /// Takes a file that was written and synced as the code of a component.
    pub fn keep(&self, scratch: &Path, digest: ComponentDigest) -> std::io::Result<()> {
        fs::rename(scratch, self.path(digest))
    }

    /// Forgets the code of a component.
    pub fn remove(&self, digest: ComponentDigest) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Loads a component's code.
    ///
    /// # Errors
    /// Where there is none, or it is of another engine.
    #[allow(unsafe_code, reason = "the one place where code is loaded")]
    pub fn load(&self, engine: &Engine, digest: ComponentDigest) -> wasmtime::Result<Component> {
        // SAFETY: the file was made by `Component::serialize` in a child process that runs this same program, is complete
        // (synced before it was renamed to this name), and lies in a folder that only the host's user can write. The
        // folder's name changes with everything that makes code incompatible, and wasmtime checks that once more.
        unsafe { Component::deserialize_file(engine, self.path(digest)) }
    }

    fn path(&self, digest: ComponentDigest) -> PathBuf {
        self.folder.join(digest.hex()).with_extension("code")
    }
}
