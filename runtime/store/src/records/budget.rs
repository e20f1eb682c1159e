//! Budgets of deployments: their definitions, customers' own limits, and what was used.

use serde::{Deserialize, Serialize};
use tidemill_core::budget::{BudgetCounter, BudgetPeriod, BudgetScope, BudgetUnit, OverBudget};
use tidemill_core::money::report::CalendarPeriod;
use tidemill_core::zones::Zone;
use tidemill_core::{BudgetName, DeploymentName, Timestamp};

/// A budget in a change of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBudget {
    /// Its name; unique in the deployment.
    pub name: BudgetName,
    /// What it limits.
    pub unit: BudgetUnit,
    /// The limit, in the smallest unit.
    pub limit: i64,
    /// Who has the limit.
    pub scope: BudgetScope,
    /// How long a period is.
    pub period: BudgetPeriod,
    /// The name of the time zone in which periods begin.
    pub time_zone: String,
    /// What becomes of a request without room; of fuel only.
    pub over: OverBudget,
}

/// A budget of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The deployment.
    pub deployment: DeploymentName,
    /// Its name; unique in the deployment.
    pub name: BudgetName,
    /// The revision since which it counts what it counts now. A revision that changes more than the
    /// limit begins to count from nothing.
    pub number: u64,
    /// What it limits.
    pub unit: BudgetUnit,
    /// The limit, in the smallest unit.
    pub limit: i64,
    /// Who has the limit.
    pub scope: BudgetScope,
    /// How long a period is.
    pub period: BudgetPeriod,
    /// The name of the time zone in which periods begin.
    pub time_zone: String,
    /// Entries after this sequence number count.
    pub since: u64,
    /// What becomes of a request without room; of fuel only.
    pub over: OverBudget,
}

impl Budget {
    /// Returns the period that contains `at`. If this process has lost the rules of the zone, its
    /// periods begin as in Greenwich.
    #[must_use]
    pub fn period_at(&self, at: Timestamp) -> CalendarPeriod {
        let zone = self.time_zone.parse().ok().or_else(|| Zone::unknown(&self.time_zone));
        self.period.containing(&zone.unwrap_or_else(Zone::utc), at)
    }

    /// Returns whose counter a customer is on: their own, or that of the deployment.
    #[must_use]
    pub fn counter_of<'c>(&self, customer: Option<&'c str>) -> &'c str {
        self.scope.counter_of(customer)
    }
}

/// A customer's own limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetLimit {
    /// The limit, in the smallest unit.
    pub limit: i64,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Selects lines of budgets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetFilter {
    /// Only budgets of this deployment.
    pub deployment: Option<DeploymentName>,
    /// Only budgets with this name.
    pub name: Option<BudgetName>,
    /// Only the lines of this customer.
    pub customer: Option<String>,
}

/// A budget, or one customer's part of it, in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLine {
    /// The budget.
    pub budget: Budget,
    /// The customer, empty for what names none; `None` for the budget itself.
    pub customer: Option<String>,
    /// The limit in force.
    pub limit: i64,
    /// Whether it is the customer's own.
    pub own_limit: bool,
    /// The period.
    pub period: CalendarPeriod,
    /// What was used and is held in it; `None` for a budget of each customer itself.
    pub counter: Option<BudgetCounter>,
}

/// The budget for which a run waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetWait {
    /// The budget.
    pub budget: String,
    /// The customer; empty for the deployment, and for what names no customer.
    pub customer: String,
    /// The limit in force.
    pub limit: i64,
    /// What was used and is held in the period.
    pub counted: BudgetCounter,
}
