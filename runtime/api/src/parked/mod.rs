//! Parked runs: the inbox of runs that wait for an operator. `POST /v1/runs/actions` retries them.

pub mod json;
pub mod list;
