//! Transactions: the only way to the tables of the key-value layer.

mod read;
mod values;
mod write;

pub(crate) use read::{ReadTx, UncommittedView, prefix_range};
pub(crate) use write::WriteTx;

pub(crate) use crate::kv::{Key, Table, Value, VisibilityGuard};
