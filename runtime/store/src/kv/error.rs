//! What can go wrong in the embedded store, in words that name the fix.
//! It is not the domain's error: the layer on top maps these to its own.

use std::io;
use std::path::PathBuf;

use tidemill_core::Code;

/// A failure of the embedded store itself, as opposed to an operation's own refusal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    /// What is on disk is not what was acknowledged. Nothing was recreated or mended.
    #[error(
        "the store is damaged: {what}; keep this folder, and put the last backup's copy in its place; \
         see docs/errors/host-store-damaged"
    )]
    Damaged {
        /// Which file or record, and how it was noticed.
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
        /// The process that holds it, where it could be read.
        holder: Option<u32>,
    },
    /// There is too little room to begin a group. Nothing was written; the same operation may be tried again.
    #[error(
        "the disk is full: {free} bytes are free and {needed} are needed; free some space, the store goes on by itself"
    )]
    DiskFull {
        /// Bytes free on the data folder's file system.
        free: u64,
        /// Bytes that must be free before a group begins.
        needed: u64,
    },
    /// The store takes no writes any more, because of an earlier failure. Whether the
    /// operation that met the failure took hold is unknown until the store is opened again.
    #[error("the store is read-only: {why}; restart the host when the cause is mended")]
    ReadOnly {
        /// The failure that made it so.
        why: String,
    },
    /// A key, a value or all writes of one operation exceed a bound.
    #[error("{what} of {bytes} bytes exceeds the bound of {limit}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// The table is not one the store was opened with.
    #[error("table {id} is not in this store")]
    UnknownTable {
        /// The table's id.
        id: u8,
    },
    /// A snapshot was held so long that what it needs is no longer kept. Take a new one.
    #[error("the snapshot is too old; take a new one")]
    SnapshotTooOld,
    /// The operating system has no more open files or memory for this process. Nothing is lost: the store tries again.
    #[error("{what}: {message}; the machine is short of open files or memory, and the store recovers by itself")]
    Exhausted {
        /// What was being done, and to which file.
        what: String,
        /// What the operating system said.
        message: String,
    },
    /// The operating system refused something.
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
    /// The stable code of the error page that explains it.
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

    /// An error of the operating system of which only the text is left.
    pub(super) fn of_system(what: String, message: String) -> Self {
        if is_exhaustion(&message) { Self::Exhausted { what, message } } else { Self::Io { what, message } }
    }

    /// A file of the store cannot be read: damage, unless the operating system only refuses to open it for now.
    pub(super) fn unreadable(what: impl Into<String>, error: &io::Error) -> Self {
        match Self::io(what, error) {
            Self::Io { what, message } => Self::Damaged { what: format!("{what}: {message}") },
            exhausted => exhausted,
        }
    }
}

/// Whether an error says that open files (`EMFILE`, `ENFILE`) or memory (`ENOMEM`) are used up. It is decided by the text,
/// because sled keeps no more of its first error. Both forms are covered: that of `Display` and that of `Debug`.
pub(super) fn is_exhaustion(message: &str) -> bool {
    [24, 23, 12].iter().any(|number| {
        message.contains(&format!("(os error {number})")) || message.contains(&format!("code: {number},"))
    })
}

/// Why a submitted operation did not take hold.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError<E> {
    /// The operation refused; nothing of it was written.
    #[error("{0}")]
    Refused(E),
    /// The operation panicked; nothing of it was written, and the others of its group went on.
    #[error("the operation panicked: {0}")]
    Panicked(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] KvError),
}

/// How the store is.
#[derive(Debug, Clone)]
pub enum KvHealth {
    /// Reads and writes work.
    Healthy,
    /// Reads work; groups wait for room on the disk.
    DiskFull {
        /// The error operations get meanwhile.
        error: KvError,
    },
    /// Reads of undamaged records work; nothing is written until the store is opened again.
    ReadOnly {
        /// The code of the error page: `host/store-damaged` or `host/store-read-only`.
        code: &'static str,
        /// The failure, for people.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_is_known_in_each_form_of_its_text() {
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
