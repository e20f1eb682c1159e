//! Seals the bytes that a store must not hold in the clear: secrets, fields of customers, bodies of
//! deliveries.
//!
//! This is envelope encryption with AES-256-GCM. Each version of each record has a random data key
//! of its own. The data key is stored with the record, wrapped by a key that is derived from the
//! master key and the record's [`SealContext`]. A change of the master key therefore wraps the data
//! keys again ([`Vault::rewrap`]) and leaves the sealed bytes as they are.
//!
//! Invariants:
//! - The context (table, name, version) is authenticated in both layers. Bytes that were sealed for
//!   one record or version open for no other.
//! - Any change of a stored bit is refused with `host/secret-damaged`.
//! - Nonces are random, of 96 bits. A data key seals one text. A wrapping key belongs to one
//!   context, so the number of records does not bring its nonces closer to a collision.
//! - A master key, a data key and an opened text are overwritten if they are dropped. The key
//!   schedules of ring are not: they live on the stack for one call.
//!
//! There is no I/O and no clock here, except for the operating system's random numbers.

#![forbid(unsafe_code)]

mod context;
mod error;
mod key;
mod sealed;
mod vault;

pub use context::SealContext;
pub use error::VaultError;
pub use key::{KeyId, MASTER_KEY_BYTES, MasterKey, MasterKeyError};
pub use sealed::{SEAL_OVERHEAD_BYTES, SealedBytes, WRAPPED_KEY_BYTES, WrappedKey};
pub use vault::{Opened, PLAINTEXT_BYTES, Vault};
