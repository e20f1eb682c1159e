//! Components: the uploaded bytes, named by their digest.

pub mod bytes;
pub mod delete;
pub mod get;
pub mod json;
