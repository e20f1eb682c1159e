//! From bytes to code: compiled in a child process, stored in a cache, loaded from there. The host
//! itself never parses a component, so a component that crashes the compiler or a parser is only a
//! refused upload.

mod cache;
mod child;
mod confine;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inspect;
mod lines;
mod report;
mod worker;

pub(crate) use crate::component::compile::cache::CodeCache;
pub(crate) use crate::component::compile::child::{ChildError, Compiler, InspectionReport};
pub use crate::component::compile::worker::compile_component_main;
pub(crate) use crate::component::compile::worker::header;
