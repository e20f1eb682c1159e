//! Secrets: what can be done to them, and the master keys that seal them.

pub(crate) mod keys;
pub(crate) mod manage;
mod value;
