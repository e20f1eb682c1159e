//! The lock that lets one process at a time use the data folder. The locked file names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::error::KvError;

/// The file's name in the data folder.
pub(super) const NAME: &str = "lock";

/// The lock, held until this is dropped.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`KvError::Locked`] if another process, or another handle in this one, has it.
    pub fn take(data: &Path) -> Result<Self, KvError> {
        let path = data.join(NAME);
        let failed =
            |error: &std::io::Error| KvError::io(format!("the lock of the data folder, {}", path.display()), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(32).read_to_string(&mut holder);
                return Err(KvError::Locked { dir: data.to_owned(), holder: holder.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let name = format!("{}\n", std::process::id());
        let named = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(name.as_bytes()));
        match named {
            // The holder's id is only informative: a full disk must not prevent opening.
            Err(error) if error.kind() != ErrorKind::StorageFull => Err(failed(&error)),
            _ => Ok(Self { _file: file }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_learns_which_process_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let Err(KvError::Locked { holder, .. }) = Lock::take(dir.path()) else { panic!("two openers hold the lock") };
        assert_eq!(holder, Some(std::process::id()));
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }
}
