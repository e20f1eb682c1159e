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

pub(crate) use cache::Cache;
pub(crate) use child::{Compiler, Inspected, Unworked};
pub use worker::compile_component_main;
pub(crate) use worker::header;
