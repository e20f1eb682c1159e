//! Compares the newest change of a project's sources with the build time of its component.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Maximum number of files in a scan.
const FILES: usize = 10_000;
/// Folders with build output or data instead of sources.
const BUILT: &[&str] = &["target", "tidemill-data", "node_modules", "tests", "__pycache__"];
/// Files that are not part of a component.
const ASIDE: &[&str] = &[super::MANIFEST, "Cargo.lock", "package-lock.json"];

/// A source that changed after the component was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleSource {
    /// The newest source, relative to the project's folder.
    pub source: PathBuf,
    /// Seconds between the build and the change.
    pub seconds: u64,
}

/// Returns the newest source if it is newer than the built component; `None` if the times are not
/// known.
pub fn newer_than(folder: &Path, component: &Path) -> Option<StaleSource> {
    let built = std::fs::metadata(component).and_then(|about| about.modified()).ok()?;
    let (source, changed) = newest(folder, component)?;
    let later = changed.duration_since(built).ok().filter(|later| !later.is_zero())?;
    let source = source.strip_prefix(folder).map(Path::to_owned).unwrap_or(source);
    Some(StaleSource { source, seconds: later.as_secs() })
}

fn newest(folder: &Path, component: &Path) -> Option<(PathBuf, SystemTime)> {
    let mut newest: Option<(PathBuf, SystemTime)> = None;
    let (mut folders, mut count) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(about) = entry.metadata() else { continue };
            count += 1;
            if name.starts_with('.') || BUILT.contains(&&*name) || count > FILES {
                continue;
            }
            let path = entry.path();
            if about.is_dir() {
                folders.push(path);
                continue;
            }
            let aside = ASIDE.contains(&&*name) || path.extension().is_some_and(|kind| kind == "md" || kind == "wasm");
            if aside || path == component {
                continue;
            }
            if let Ok(changed) = about.modified()
                && newest.as_ref().is_none_or(|(_, latest)| changed > *latest)
            {
                newest = Some((path, changed));
            }
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_source_that_is_newer_than_the_component_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let write = |name: &str, seconds| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = std::fs::File::create(&path).unwrap();
            file.set_modified(start + Duration::from_secs(seconds)).unwrap();
            path
        };
        let component = write("target/release/hello.wasm", 100);
        write("src/lib.rs", 50);
        for other in ["target/debug/x.d", ".git/index", "tidemill.toml", "README.md", "Cargo.lock", "tests/it.rs"] {
            write(other, 900);
        }
        assert_eq!(newer_than(folder.path(), &component), None);
        write("src/lib.rs", 160);
        let stale = StaleSource { source: PathBuf::from("src/lib.rs"), seconds: 60 };
        assert_eq!(newer_than(folder.path(), &component), Some(stale));
        assert_eq!(newer_than(folder.path(), &folder.path().join("nowhere.wasm")), None);
    }
}
