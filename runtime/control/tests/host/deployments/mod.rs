//! Deployments: their revisions, flow control, budgets, state and quotas.

mod budgets;
mod flow;
mod quotas;
mod revisions;
mod rollback;
mod state;
