//! A data folder in one compressed file: path, length, and bytes without trailing zeros per file.
//!
//! Files that a host recreates are omitted: compiled code, spare segments and the lock.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The archive of a folder.
pub fn pack(folder: &Path) -> Vec<u8> {
    let mut archive = GzEncoder::new(Vec::new(), Compression::best());
    for path in entries(folder) {
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            writeln!(archive, "{name}/ 0 0").unwrap();
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let kept = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        writeln!(archive, "{name} {} {kept}", bytes.len()).unwrap();
        archive.write_all(&bytes[..kept]).unwrap();
    }
    archive.finish().unwrap()
}

/// Extracts an archive into `folder`.
pub fn unpack(archive: &[u8], folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut archive = BufReader::new(GzDecoder::new(archive));
    let mut line = String::new();
    while archive.read_line(&mut line).unwrap() > 0 {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap();
        let (name, length, kept) = (word(), word().parse().unwrap(), word().parse().unwrap());
        let path = folder.join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
        } else {
            let mut bytes = vec![0; length];
            archive.read_exact(&mut bytes[..kept]).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        line.clear();
    }
}

/// All paths below a folder, each folder before its content.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if ["cache", "lock"].contains(&name) || name.starts_with("spare-") || name.starts_with("fill-") {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}
