//! Components: validation, compilation and the code in memory.

pub(crate) mod bindings;
pub(crate) mod compile;
pub(crate) mod module;
pub(crate) mod validate;
