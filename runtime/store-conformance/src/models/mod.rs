//! Random sequences of operations, on a store and on small models that give the expected answers.

pub(crate) mod balances;
pub(crate) mod budgets;
pub(crate) mod families;
pub(crate) mod flow;
pub(crate) mod lanes;
pub(crate) mod ledger;
pub(crate) mod transactions;
