//! The code cache: one file for each component, in a separate folder for each kind of code that
//! engines produce.
//!
//! Loaded code is trusted like the host itself, so each file has a seal: an HMAC over the kind, the
//! component's digest and all bytes of the code, with a key that is in the data folder and not in
//! the cache. Code that was swapped, restored from elsewhere or damaged does not match its seal,
//! and is compiled again. A file appears whole or not at all: it is written under another name,
//! synced and renamed.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use tidemill_core::ComponentDigest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::EngineError;
use crate::sandbox::compatibility;

/// Size of the key, in bytes.
const KEY_BYTES: usize = 32;
/// Size of one read, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Stores compiled code.
pub(crate) struct CodeCache {
    folder: PathBuf,
    kind: String,
    key: hmac::Key,
    next: AtomicU64,
}

impl CodeCache {
    /// Opens the cache below `root` for the code of `engine`, and removes the code of other
    /// engines. The key of its seals is in the file `key`, which is created if it does not exist.
    ///
    /// # Errors
    /// If the folder or the key cannot be created or made private.
    pub fn open(root: &Path, key: &Path, engine: &Engine) -> Result<Self, EngineError> {
        let io = |error| EngineError::Io { what: "the code cache", error };
        let key = read_key(key).map_err(|error| EngineError::Io { what: "the key of the code cache", error })?;
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
                tracing::warn!(%error, folder = %entry.path().display(), "cached code of another engine could not be removed");
            }
        }
        for entry in fs::read_dir(&folder).map_err(io)?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "tmp") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder, kind, key, next: AtomicU64::new(0) })
    }

    /// Whether there is code for a component.
    pub fn has(&self, digest: ComponentDigest) -> bool {
        self.path(digest).is_file()
    }

    /// Returns the path of a new file to write code to.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join(format!("{}-{}.tmp", std::process::id(), self.next.fetch_add(1, Relaxed)))
    }

    /// Seals a file that was written and synced, and stores it as the code of a component.
    pub fn keep(&self, scratch: &Path, digest: ComponentDigest) -> io::Result<()> {
        let seal = self.seal(scratch, digest)?;
        // A crash between the two steps leaves a seal without its code; the component is then
        // compiled again.
        fs::write(self.seal_path(digest), seal)?;
        fs::rename(scratch, self.path(digest))
    }

    /// Removes the code of a component.
    pub fn remove(&self, digest: ComponentDigest) {
        let _ = fs::remove_file(self.path(digest));
        let _ = fs::remove_file(self.seal_path(digest));
    }

    /// Whether every byte of a component's code is as [`Self::keep`] stored it.
    ///
    /// # Errors
    /// If the code or the seal does not exist or cannot be read.
    pub fn is_sealed(&self, digest: ComponentDigest) -> io::Result<bool> {
        let seal = fs::read(self.seal_path(digest))?;
        Ok(self.seal(&self.path(digest), digest)?.as_slice() == seal)
    }

    /// Loads a component's code.
    ///
    /// # Errors
    /// If there is none, or it is not the code that was compiled here for that component.
    #[allow(unsafe_code, reason = "the one place where code is loaded")]
    pub fn load(&self, engine: &Engine, digest: ComponentDigest) -> wasmtime::Result<Component> {
        if !self.is_sealed(digest)? {
            return Err(wasmtime::Error::msg("the cached code does not match the seal of this component"));
        }
        // SAFETY: the file was made by `Component::serialize` in a child process that runs this
        // same program, and it matches the seal that was made then for this component and this kind
        // of engine. Its folder is writable only by the host's user, so no other user can change it
        // between the check and the load. wasmtime checks the kind once more.
        unsafe { Component::deserialize_file(engine, self.path(digest)) }
    }

    fn seal(&self, code: &Path, digest: ComponentDigest) -> io::Result<Vec<u8>> {
        let mut seal = hmac::Context::with_key(&self.key);
        seal.update(b"tidemill code 1\0");
        seal.update(self.kind.as_bytes());
        seal.update(digest.as_bytes());
        let mut file = File::open(code)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(seal.sign().as_ref().to_vec()),
                read => seal.update(piece.get(..read).unwrap_or_default()),
            }
        }
    }

    fn path(&self, digest: ComponentDigest) -> PathBuf {
        self.folder.join(digest.hex()).with_extension("code")
    }

    fn seal_path(&self, digest: ComponentDigest) -> PathBuf {
        self.folder.join(digest.hex()).with_extension("seal")
    }
}

/// Reads or creates the key. With a new key all code is compiled again.
fn read_key(path: &Path) -> io::Result<hmac::Key> {
    let key = match fs::read(path) {
        Ok(key) if key.len() == KEY_BYTES => key,
        Ok(_) => {
            tracing::warn!(file = %path.display(), "the key of the code cache is damaged; all components will be compiled again");
            make_key(path)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(path)?,
        Err(error) => return Err(error),
    };
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn make_key(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system provides no random bytes"))?;
    let scratch = path.with_extension("tmp");
    let _ = fs::remove_file(&scratch);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&scratch, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct CacheFolder(tempfile::TempDir, Engine);

    impl CacheFolder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap(), Engine::default())
        }

        fn open(&self) -> CodeCache {
            CodeCache::open(&self.0.path().join("cache"), &self.0.path().join("cache.key"), &self.1).unwrap()
        }
    }

    fn keep(cache: &CodeCache, code: &[u8], digest: ComponentDigest) {
        let scratch = cache.scratch();
        fs::write(&scratch, code).unwrap();
        cache.keep(&scratch, digest).unwrap();
    }

    #[test]
    fn code_matches_its_seal_until_a_bit_or_the_component_changes() {
        let folder = CacheFolder::new();
        let cache = folder.open();
        let (one, two) = (ComponentDigest::of(b"1"), ComponentDigest::of(b"2"));
        keep(&cache, b"the code of one", one);
        keep(&cache, b"the code of two", two);
        assert!(cache.is_sealed(one).unwrap() && folder.open().is_sealed(two).unwrap());

        fs::write(cache.path(one), b"the code of onf").unwrap();
        assert!(!cache.is_sealed(one).unwrap());
        // Swapped together with its seal.
        fs::copy(cache.path(two), cache.path(one)).unwrap();
        fs::copy(cache.seal_path(two), cache.seal_path(one)).unwrap();
        assert!(!cache.is_sealed(one).unwrap() && cache.is_sealed(two).unwrap());
        fs::remove_file(cache.seal_path(two)).unwrap();
        assert!(cache.is_sealed(two).is_err());
    }

    #[test]
    fn code_of_another_data_folder_does_not_match_its_seal() {
        let (here, there) = (CacheFolder::new(), CacheFolder::new());
        let digest = ComponentDigest::of(b"1");
        let (cache, foreign) = (here.open(), there.open());
        keep(&foreign, b"foreign code", digest);
        fs::copy(foreign.path(digest), cache.path(digest)).unwrap();
        fs::copy(foreign.seal_path(digest), cache.seal_path(digest)).unwrap();
        assert!(!cache.is_sealed(digest).unwrap());
    }

    #[test]
    fn the_key_is_private_and_made_again_if_it_is_damaged() {
        let folder = CacheFolder::new();
        let key = folder.0.path().join("cache.key");
        let digest = ComponentDigest::of(b"1");
        keep(&folder.open(), b"code", digest);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&key, b"short").unwrap();
        let cache = folder.open();
        assert_eq!(fs::read(&key).unwrap().len(), KEY_BYTES);
        assert!(!cache.is_sealed(digest).unwrap());
    }
}
