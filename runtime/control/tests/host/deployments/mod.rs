//! Deployments: their revisions, circuit breakers, flow control, budgets, state and quotas.

mod alerts;
mod breaker;
mod budgets;
mod flow;
mod healing;
mod health;
mod operator;
mod quotas;
mod recycle;
mod revisions;
mod rollback;
mod state;
