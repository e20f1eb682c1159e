//! The house rules that a machine can check, each as a test in `tests/`. CONTRIBUTING.md contains
//! the rules that need judgement.
//!
//! This file only finds the files of the repository.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// Root folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// Every text file of the repository with this extension, as (path from the root, text), sorted.
/// Build output and hidden folders other than `.ci` and `.github` are omitted.
#[must_use]
pub fn files(extension: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &mut |path| {
        if path.extension().is_some_and(|it| it == extension)
            && let Ok(text) = std::fs::read_to_string(path)
        {
            let name = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
            found.push((name, text));
        }
    });
    found.sort();
    found
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
        if hidden || name == "target" || name == "tidemill-data" || name == "node_modules" {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, visit),
            Ok(kind) if kind.is_file() => visit(&path),
            _ => {}
        }
    }
}
