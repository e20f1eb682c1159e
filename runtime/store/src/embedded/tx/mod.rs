//! Transactions: the only way to the tables of the key-value layer.

mod read;
mod values;
mod write;

pub(crate) use read::{ReadTx, UncommittedView, prefix_range};
pub(crate) use write::WriteTx;

use crate::error::StoreError;
use crate::kv::KvError;
pub(crate) use crate::kv::{Key, Table, Value, VisibilityGuard};

impl From<KvError> for StoreError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Damaged { what } => Self::Damaged { what },
            KvError::DiskFull { .. } => Self::DiskFull,
            KvError::ReadOnly { why } => Self::ReadOnly { why },
            KvError::Closed => Self::Closed,
            KvError::Locked { .. } => Self::Locked { holder: error.to_string() },
            KvError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            other => Self::Io(other.to_string()),
        }
    }
}
