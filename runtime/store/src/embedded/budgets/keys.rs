//! The keys of the tables of budgets.

use tidemill_core::Timestamp;

use crate::embedded::tables::{name_key, time_key};
use crate::records::Budget;

/// The key of a budget; without a name, the prefix of the budgets of a deployment.
pub(crate) fn budget(deployment: &str, name: &str) -> Vec<u8> {
    name_key(deployment, name.as_bytes())
}

/// The prefix of the counters and limits of every number of a budget.
pub(crate) fn numbers(deployment: &str, name: &str) -> Vec<u8> {
    name_key(deployment, &name_key(name, &[]))
}

/// The prefix of a budget's counters and limits.
pub(crate) fn of(budget: &Budget) -> Vec<u8> {
    [numbers(budget.deployment.as_str(), budget.name.as_str()), budget.number.to_be_bytes().to_vec()].concat()
}

/// The prefix of the counters of a period. What follows is the customer, which may contain NUL.
pub(crate) fn period(budget: &Budget, start: Timestamp) -> Vec<u8> {
    [of(budget), time_key(start, &[])].concat()
}

/// The key of a counter.
pub(crate) fn counter(budget: &Budget, start: Timestamp, customer: &str) -> Vec<u8> {
    [&period(budget, start)[..], customer.as_bytes()].concat()
}

/// The key of a customer's own limit.
pub(crate) fn limit(budget: &Budget, customer: &str) -> Vec<u8> {
    [&of(budget)[..], customer.as_bytes()].concat()
}
