//! From bytes to code: compiled in a child process, kept in a cache, loaded from there. The host itself never parses a component, so one
//! that makes the compiler or a parser explode is a refused upload and nothing more.

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
