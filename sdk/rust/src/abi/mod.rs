//! The boundary between a module and its host: the generated bindings, the functions that the
//! macros export, and JSON.

pub mod bindings;
pub mod export;
pub(crate) mod host;
pub(crate) mod json;
