//! Deployments and their revisions.

pub mod breaker;
pub mod delete;
pub mod get;
pub mod json;
pub mod list;
pub mod pause;
pub mod put;
pub mod revisions;
pub mod rollback;
pub mod state;
