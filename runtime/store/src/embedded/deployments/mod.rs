//! Deployments.

mod breaker;
mod operator;
mod purge;
mod record;
mod revisions;

pub(crate) use purge::{deleted, purge};
pub(crate) use record::{get, no_deployment};
