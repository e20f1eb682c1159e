//! Limits of open files, and permissions of the files that the host keeps.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use serde::Serialize;
use tidemill_api::config::PROBE_CONNECTIONS;

/// Maximum number of connections, whatever the limit of open files is.
const CONNECTIONS_MAX: usize = 4096;
/// Minimum number of connections: with fewer, clients and the status page would lock each other
/// out.
const CONNECTIONS_MIN: usize = 16;
/// Number of files that is assumed if the limit is infinite: the kernel's default bound for one
/// process.
const FILES_MAX: u64 = 1 << 20;
/// Below this limit of open files, the host accepts fewer connections than it could.
pub const FILES_ENOUGH: u64 = 10_000;
/// Maximum number of secrets whose permissions are checked.
const SECRETS: usize = 1_000;

/// The process's limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenFiles {
    /// The current limit.
    pub soft: u64,
    /// The maximum to which the process may raise the limit.
    pub hard: u64,
}

impl OpenFiles {
    /// Reads the limits of this process.
    pub fn limits() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        Self { soft: current.unwrap_or(FILES_MAX), hard: maximum.unwrap_or(FILES_MAX) }
    }

    /// Raises the limit to its maximum and returns the new limit.
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.unwrap_or(FILES_MAX);
        if current.is_some_and(|current| current < wanted)
            && let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        {
            tracing::warn!(%cause, wanted, "cannot raise the number of open files");
        }
        Self::limits()
    }

    /// Returns the maximum number of connections: half of the remaining files, so that the store,
    /// guests' requests and child processes have the other half.
    pub fn connections(self) -> usize {
        let open = std::fs::read_dir("/proc/self/fd").map_or(64, |files| files.count() as u64);
        Self::connections_of(self.soft.saturating_sub(open))
    }

    /// The same for a process that has raised its limit and has not opened a file yet.
    pub fn max_connections_at_start(self) -> usize {
        Self::connections_of(self.hard)
    }

    fn connections_of(left: u64) -> usize {
        let half = usize::try_from(left / 2).unwrap_or(CONNECTIONS_MAX);
        half.saturating_sub(PROBE_CONNECTIONS).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
    }
}

/// Makes files that this process creates from now on readable by its own user only.
pub fn keep_private() {
    umask(Mode::from_raw_mode(0o077));
}

/// Keeps the memory of this process out of core dumps, and from other processes of its user: they
/// cannot attach to it, and cannot read its memory or its environment. The superuser still can.
pub fn keep_memory_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(cause) = setrlimit(Resource::Core, none) {
        tracing::warn!(%cause, "cannot disable core dumps");
    }
    #[cfg(target_os = "linux")]
    if let Err(cause) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%cause, "cannot hide the memory of this process");
    }
}

/// Creates the data folder, for its own user only. Does not change an existing folder.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// A file or folder that other users of the machine may read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedPath {
    /// The path.
    pub path: PathBuf,
    /// The permissions, such as `0644`.
    pub mode: String,
    /// The command that removes the access.
    pub fix: String,
}

/// Returns what other users may read or write: the data folder, its secrets and the token's file.
pub fn exposed(data: &Path, token_file: Option<&Path>) -> Vec<ExposedPath> {
    let secrets = data.join("secrets");
    let files = std::fs::read_dir(&secrets).into_iter().flatten().flatten().take(SECRETS).map(|entry| entry.path());
    let paths = [data.to_owned(), secrets.clone()].into_iter().chain(files).chain(token_file.map(Path::to_owned));
    paths.filter_map(|path| exposure(&path)).collect()
}

fn exposure(path: &Path) -> Option<ExposedPath> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then(|| ExposedPath {
        path: path.to_owned(),
        mode: format!("{mode:04o}"),
        fix: format!("chmod go-rwx {}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_half_of_the_open_files() {
        assert_eq!(OpenFiles::connections_of(1_000), 484);
        assert_eq!(OpenFiles::connections_of(1 << 20), CONNECTIONS_MAX);
        assert_eq!(OpenFiles::connections_of(0), CONNECTIONS_MIN);
    }

    #[test]
    fn files_readable_by_others_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (data, token) = (folder.path().join("a/data"), folder.path().join("token"));
        make_folder(&data).unwrap();
        make_folder(&data).unwrap();
        std::fs::create_dir(data.join("secrets")).unwrap();
        std::fs::write(data.join("secrets/key"), "x").unwrap();
        std::fs::write(&token, "x").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for path in [&data.join("secrets"), &data.join("secrets/key"), &token] {
            set(path, 0o600);
        }
        set(&data.join("secrets"), 0o700);
        assert_eq!(exposed(&data, Some(&token)), []);
        set(&data, 0o750);
        set(&data.join("secrets/key"), 0o644);
        set(&token, 0o604);
        let found: Vec<_> = exposed(&data, Some(&token)).into_iter().map(|one| (one.path, one.mode)).collect();
        let expected = [(data.clone(), "0750"), (data.join("secrets/key"), "0644"), (token, "0604")];
        assert_eq!(found, expected.map(|(path, mode)| (path, mode.to_owned())));
    }
}
