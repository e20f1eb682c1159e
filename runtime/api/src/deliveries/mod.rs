//! Deliveries to hooks: what was received, and what became of it.

pub mod actions;
pub mod filter;
pub mod get;
pub mod json;
pub mod list;
pub mod replay;
