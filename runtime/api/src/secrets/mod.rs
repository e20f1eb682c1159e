//! Secrets of the store: set, listed without their values, and deleted; and the master key.

pub mod delete;
pub mod get;
pub mod json;
pub mod list;
pub mod master_key;
pub mod put;
