//! Open files that the store keeps in reserve, so that the index can open files even if the rest of
//! the process has used up its limit.
//!
//! sled does not survive a failure to create a blob file: the space that it reserved in its buffer
//! is never written, and every later flush hangs. So sled is not called without spare files.

use std::fs::File;
use std::io;

use parking_lot::{Mutex, MutexGuard};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::kv::error::KvError;

/// Number of files in reserve: more than the index opens for one group or one checkpoint.
const SPARES: usize = 16;
/// The path on which the reserve files are open.
const PATH: &str = "/dev/null";

/// The files in reserve.
#[derive(Debug)]
pub(in crate::kv) struct SpareFiles(Mutex<Vec<File>>);

impl SpareFiles {
    /// Opens up to [`SPARES`] files.
    pub fn open() -> Self {
        let spares = Self(Mutex::new(Vec::new()));
        spares.refill();
        spares
    }

    /// Fails if neither the process nor the reserve has a file for the index.
    pub fn check(&self) -> Result<(), KvError> {
        if !self.lock().is_empty() || self.refill() {
            return Ok(());
        }
        Err(KvError::io("files for the index", &io::Error::from(Errno::MFILE)))
    }

    /// Runs `call`. If the process has no other files, the reserve is closed for that time.
    pub fn lend<T>(&self, call: impl FnOnce() -> T) -> T {
        let lent = {
            let mut spares = self.lock();
            let is_short = spares.first().is_none_or(|file| fcntl_dupfd_cloexec(file, 0).is_err());
            if is_short { std::mem::take(&mut *spares) } else { Vec::new() }
        };
        let is_short = !lent.is_empty();
        drop(lent);
        let done = call();
        if is_short {
            self.refill();
        }
        done
    }

    /// Refills the reserve. Returns false if it is empty.
    fn refill(&self) -> bool {
        let mut spares = self.lock();
        while spares.len() < SPARES
            && let Ok(file) = File::open(PATH)
        {
            spares.push(file);
        }
        !spares.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<File>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_while_there_are_other_files() {
        let spares = SpareFiles::open();
        assert_eq!(spares.lend(|| spares.lock().len()), SPARES);
        spares.lock().clear();
        assert!(spares.check().is_ok());
        assert_eq!(spares.lock().len(), SPARES);
    }
}
