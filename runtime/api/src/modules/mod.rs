//! Modules: named series of components, and the upload of one.

pub mod get;
pub mod json;
pub mod list;
pub(crate) mod receive;
pub mod upload;
