//! Deployments: their revisions, flow control, state and quotas.

mod flow;
mod quotas;
mod revisions;
mod rollback;
mod state;
