//! The file system that the log uses: small enough for tests to replace it by one that fails at a
//! chosen moment. The index (sled) does not use it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a folder and its parents.
    ///
    /// # Errors
    /// The operating system's error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens a file for reading and writing; `create` creates it if it is missing.
    ///
    /// # Errors
    /// The operating system's error.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file, and replaces any file of the new name.
    ///
    /// # Errors
    /// The operating system's error.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The operating system's error.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns the bytes that are free for this process on the file system of `path`.
    ///
    /// # Errors
    /// The operating system's error.
    fn free_space(&self, path: &Path) -> io::Result<u64>;
}

/// An open file, read and written at offsets.
pub trait DiskFile: Send + Sync {
    /// Returns the file's length in bytes.
    ///
    /// # Errors
    /// The operating system's error.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The operating system's error; `UnexpectedEof` if the file ends first.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The operating system's error.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the written data durable (fdatasync).
    ///
    /// # Errors
    /// The operating system's error. After a failure, nothing written since the last success is
    /// known to be durable.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

struct SystemFile(File);

impl Disk for SystemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let about = rustix::fs::statvfs(path)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }
}

impl DiskFile for SystemFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Writes a small file so that a crash leaves either the old or the new content.
pub(super) fn replace_file(disk: &dyn Disk, dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&fresh, true)?;
    file.write_all_at(content, 0)?;
    file.sync()?;
    disk.rename(&fresh, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Reads all of a small file.
pub(super) fn read_file(disk: &dyn Disk, path: &Path, bound: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, false)?;
    let length = file.length()?;
    if length > bound {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{length} bytes exceed the maximum of {bound}"),
        ));
    }
    let mut content = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}
