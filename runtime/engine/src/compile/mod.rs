//! From bytes to code: compiled in a child process, kept in a cache, loaded from there. The host itself never compiles, so a
//! component that makes the compiler explode is a refused upload and nothing more.

mod cache;
mod child;
mod worker;

pub(crate) use cache::Cache;
pub(crate) use child::Compiler;
pub use worker::compile_component_main;
pub(crate) use worker::header;
