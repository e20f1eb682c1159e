//! Budgets of deployments.

use async_trait::async_trait;
use tidemill_core::{BudgetName, DeploymentName, Timestamp};

use crate::error::StoreError;
use crate::records::{Budget, BudgetFilter, BudgetLimit, BudgetLine, CommitEffects, Page, PageRequest};

/// Budgets. A revision of a deployment defines them, and entries count in their own commit.
#[async_trait]
pub trait BudgetStore: Send + Sync + 'static {
    /// Returns a budget.
    async fn budget(&self, deployment: &DeploymentName, name: &BudgetName) -> Result<Option<Budget>, StoreError>;
    /// Lists budgets by deployment and name, each in the period that contains `at`. A budget of
    /// each customer is followed by the customers that used it in this period or have a limit of
    /// their own.
    async fn budget_lines(
        &self,
        filter: &BudgetFilter,
        page: PageRequest,
        at: Timestamp,
    ) -> Result<Page<BudgetLine>, StoreError>;
    /// Sets the limit of one customer in a budget of each customer; `None` removes it. Wakes runs
    /// of this customer that wait for the budget.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such budget of each customer.
    async fn set_budget_limit(
        &self,
        deployment: &DeploymentName,
        name: &BudgetName,
        customer: &str,
        limit: Option<BudgetLimit>,
        now: Timestamp,
    ) -> Result<CommitEffects, StoreError>;
}
