//! Errors of the embedded store. Each message names the fix. These are not the domain's errors: the
//! layer above maps them to its own.

use std::io;
use std::path::PathBuf;

use tidemill_core::Code;

/// A failure of the embedded store itself. An operation's own refusal is not one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    /// The disk does not hold what was acknowledged. Nothing was recreated or repaired.
    #[error(
        "the store is damaged: {what}; move this folder away, keep it, and restore the last backup; \
         see docs/errors/host-store-damaged"
    )]
    Damaged {
        /// The damaged file or record, and how the damage was detected.
        what: String,
    },
    /// Another process has the data folder open.
    #[error("the data folder {} is in use by {}", dir.display(), holder.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    ))]
    Locked {
        /// The data folder.
        dir: PathBuf,
        /// The process that holds the lock, if its id could be read.
        holder: Option<u32>,
    },
    /// The disk has too little free space to begin a group. Nothing was written; the caller may
    /// retry the operation.
    #[error(
        "the disk is full: {free} bytes are free and {needed} are needed; free some space; the store resumes by itself"
    )]
    DiskFull {
        /// Bytes free on the data folder's file system.
        free: u64,
        /// Bytes that must be free before a group begins.
        needed: u64,
    },
    /// The store refuses writes because of an earlier failure. It is unknown until the store is
    /// opened again whether the operation that met the failure was committed.
    #[error("the store is read-only: {why}; fix the cause, then restart the host")]
    ReadOnly {
        /// The failure that made the store read-only.
        why: String,
    },
    /// A key, a value or all writes of one operation together exceed a bound.
    #[error("{what} of {bytes} bytes exceeds the maximum of {limit}")]
    TooLarge {
        /// The item that is too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// The store was not opened with this table.
    #[error("table {id} is not in this store")]
    UnknownTable {
        /// The table's id.
        id: u8,
    },
    /// A snapshot was held for too long: the store no longer keeps the values that it needs. Take a
    /// new one.
    #[error("the snapshot is too old; take a new one")]
    SnapshotTooOld,
    /// The operating system has no more open files or memory for this process. Nothing is lost; the
    /// store retries.
    #[error("{what}: {message}; open files or memory are exhausted; the store recovers by itself")]
    Exhausted {
        /// What was being done, and to which file.
        what: String,
        /// What the operating system said.
        message: String,
    },
    /// The operating system refused a call.
    #[error("{what}: {message}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// What the operating system said.
        message: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl KvError {
    /// Returns the stable code of the error page that explains this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        let code = match self {
            Self::Damaged { .. } => Code::StoreDamaged,
            Self::Locked { .. } => Code::StoreLocked,
            Self::DiskFull { .. } => Code::DiskFull,
            Self::ReadOnly { .. } => Code::StoreReadOnly,
            Self::TooLarge { .. } => Code::LimitCommit,
            Self::UnknownTable { .. } | Self::SnapshotTooOld | Self::Exhausted { .. } | Self::Io { .. } => {
                Code::StoreUnavailable
            }
            Self::Closed => Code::ShuttingDown,
        };
        code.as_str()
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(super) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::of_system(what.into(), error.to_string())
    }

    /// Classifies an error of the operating system of which only the text is known.
    pub(super) fn of_system(what: String, message: String) -> Self {
        if is_exhaustion(&message) { Self::Exhausted { what, message } } else { Self::Io { what, message } }
    }

    /// Classifies a failure to read a file of the store: it is damage, unless the operating system
    /// only refuses to open the file for now.
    pub(super) fn unreadable(what: impl Into<String>, error: &io::Error) -> Self {
        match Self::io(what, error) {
            Self::Io { what, message } => Self::Damaged { what: format!("{what}: {message}") },
            exhausted => exhausted,
        }
    }
}

/// Whether an error reports that open files (`EMFILE`, `ENFILE`) or memory (`ENOMEM`) are
/// exhausted. The text decides, because sled keeps only the text of its first error. Both the
/// `Display` and the `Debug` form are recognised.
pub(super) fn is_exhaustion(message: &str) -> bool {
    [24, 23, 12].iter().any(|number| {
        message.contains(&format!("(os error {number})")) || message.contains(&format!("code: {number},"))
    })
}

/// Why a submitted operation was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError<E> {
    /// The operation refused; none of its writes were kept.
    #[error("{0}")]
    Refused(E),
    /// The operation panicked; none of its writes were kept. The other operations of its group are
    /// not affected.
    #[error("the operation panicked: {0}")]
    Panicked(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] KvError),
}

/// Whether the store accepts reads and writes.
#[derive(Debug, Clone)]
pub enum KvHealth {
    /// Reads and writes work.
    Healthy,
    /// Reads work; writes are refused until the disk has free space.
    DiskFull {
        /// The error with which operations are refused.
        error: KvError,
    },
    /// Reads of undamaged records work; writes are refused until the store is opened again.
    ReadOnly {
        /// The code of the error page: `host/store-damaged` or `host/store-read-only`.
        code: &'static str,
        /// A description of the failure.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_is_recognised_in_each_form_of_its_text() {
        for number in [12, 23, 24] {
            let error = io::Error::from_raw_os_error(number);
            assert!(is_exhaustion(&error.to_string()) && is_exhaustion(&format!("{error:?}")), "{error:?}");
            assert!(matches!(KvError::unreadable("a file", &error), KvError::Exhausted { .. }));
        }
        for number in [2, 5, 28, 112, 123, 124] {
            let error = io::Error::from_raw_os_error(number);
            assert!(!is_exhaustion(&error.to_string()) && !is_exhaustion(&format!("{error:?}")), "{error:?}");
            assert!(matches!(KvError::unreadable("a file", &error), KvError::Damaged { .. }));
        }
    }
}
