//! The list that a clean shutdown leaves: every file of the index with its length and checksum. If
//! the list exists, the index must be unchanged, and any change is detected before sled opens it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::error::KvError;
use super::index;
use crate::disk::{self, Disk};

/// The file's name in the data folder.
pub(super) const NAME: &str = "stopped";

/// Writes the list for the current files of the index in `folder`.
pub(super) fn write(disk: &dyn Disk, data: &Path, folder: &Path, seed: u64) -> io::Result<()> {
    let body = list(data, folder)?;
    let text = format!("{body}check {:016x}\n", xxh3_64_with_seed(body.as_bytes(), seed));
    disk::replace_file(disk, data, NAME, text.as_bytes())
}

/// Checks the index against the list of the last shutdown and removes the list. Returns false if
/// there is no valid list: the last shutdown was not clean then.
pub(super) fn verify(disk: &dyn Disk, data: &Path, folder: &Path, seed: u64) -> Result<bool, KvError> {
    let content = match disk::read_file(disk, &data.join(NAME), 64 << 20) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(KvError::io(format!("the list of the last shutdown, {NAME}, cannot be read"), &error));
        }
    };
    let believed = std::str::from_utf8(&content).ok().and_then(|text| {
        let (body, check) = text.split_at(text.rfind("check ")?);
        (check == format!("check {:016x}\n", xxh3_64_with_seed(body.as_bytes(), seed))).then_some(body)
    });
    if let Some(then) = believed {
        let now = list(data, folder).map_err(|error| KvError::unreadable("the index cannot be read", &error))?;
        let present: HashSet<&str> = now.lines().collect();
        if let Some(line) = then.lines().find(|line| !present.contains(line)) {
            let file = line.rsplit_once(' ').and_then(|(rest, _)| rest.rsplit_once(' ')).map_or(line, |(file, _)| file);
            return Err(KvError::damaged(format!("{file} has changed since the last shutdown")));
        }
        if present.len() != then.lines().count() {
            return Err(KvError::damaged("the index has files that did not exist at the last shutdown"));
        }
    }
    let gone = disk.remove(&data.join(NAME)).and_then(|()| disk.sync_dir(data));
    gone.map_err(|error| KvError::io(format!("the list of the last shutdown, {NAME}, cannot be removed"), &error))?;
    Ok(believed.is_some())
}

fn list(data: &Path, folder: &Path) -> io::Result<String> {
    let mut body = String::new();
    for path in index::files(folder)? {
        let (length, checksum) = digest(&path)?;
        let name = path.strip_prefix(data).unwrap_or(&path).display();
        let _ = writeln!(body, "{name} {length} {checksum:016x}");
    }
    Ok(body)
}

/// Returns a file's length and checksum.
pub(super) fn digest(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut piece = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((length, hasher.digest()));
        }
        hasher.update(&piece[..read]);
        length += read as u64;
    }
}
