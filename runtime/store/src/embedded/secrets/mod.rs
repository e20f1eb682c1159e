//! Secrets and master keys in the embedded store.

mod keys;
mod sealed;
mod versions;
