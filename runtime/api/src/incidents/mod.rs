//! Incidents.

pub mod act;
pub mod get;
mod json;
pub mod list;
