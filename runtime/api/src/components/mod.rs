//! Components: uploaded bytes, identified by their digest.

pub mod bytes;
pub mod delete;
pub mod get;
pub mod json;
