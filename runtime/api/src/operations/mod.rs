//! Operations: actions on many runs, which `POST /v1/runs/actions` begins.

pub mod get;
pub mod json;
pub mod list;
