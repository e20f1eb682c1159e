//! Parked runs: the inbox of what waits for a person. They are tried again as all runs are, with `POST /v1/runs/actions`.

pub mod json;
pub mod list;
