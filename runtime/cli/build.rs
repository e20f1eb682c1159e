//! Lists the files that `tidemill new` writes as the SDK: its sources, and those of the core crate,
//! which its test harness uses. The paths are those of the repository, so that manifests need no
//! change.

#![allow(clippy::print_stdout, reason = "cargo reads it")]

use std::path::Path;
use std::{env, fs, io};

const SOURCES: [&str; 8] = [
    "Cargo.toml",
    "runtime/core/Cargo.toml",
    "runtime/core/src",
    "sdk/rust/Cargo.toml",
    "sdk/rust/macros/Cargo.toml",
    "sdk/rust/macros/src",
    "sdk/rust/src",
    "sdk/rust/wit",
];

fn main() -> io::Result<()> {
    let root = fs::canonicalize("../..")?;
    let mut list = String::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
        add(&root, &root.join(source), &mut list)?;
    }
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("sdk.rs"), format!("&[{list}]"))
}

/// Adds a file, or all files in a folder and below.
fn add(root: &Path, path: &Path, list: &mut String) -> io::Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable();
        return entries.iter().try_for_each(|entry| add(root, entry, list));
    }
    let name = path.strip_prefix(root).map_err(io::Error::other)?;
    list.push_str(&format!("({name:?}, include_str!({path:?})),\n"));
    Ok(())
}
