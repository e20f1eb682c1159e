//! Modules: named series of components, and the upload of one version.

pub mod get;
pub mod json;
pub mod list;
pub(crate) mod receive;
pub mod upload;
