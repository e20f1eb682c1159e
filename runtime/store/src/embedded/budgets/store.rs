//! The part of budgets in the store's contract.

use async_trait::async_trait;
use tidemill_core::{BudgetName, DeploymentName, Timestamp};

use crate::embedded::budgets::{self, define, list};
use crate::embedded::store::EmbeddedStore;
use crate::error::Result;
use crate::records::{Budget, BudgetFilter, BudgetLimit, BudgetLine, CommitEffects, Page, PageRequest};
use crate::traits::BudgetStore;

#[async_trait]
impl BudgetStore for EmbeddedStore {
    async fn budget(&self, deployment: &DeploymentName, name: &BudgetName) -> Result<Option<Budget>> {
        budgets::get(self.latest(), deployment.as_str(), name.as_str())
    }

    async fn budget_lines(&self, filter: &BudgetFilter, page: PageRequest, at: Timestamp) -> Result<Page<BudgetLine>> {
        list::page(&self.snapshot(), filter, &page, at)
    }

    async fn set_budget_limit(
        &self,
        deployment: &DeploymentName,
        name: &BudgetName,
        customer: &str,
        limit: Option<BudgetLimit>,
        now: Timestamp,
    ) -> Result<CommitEffects> {
        let (deployment, name, customer) = (deployment.clone(), name.clone(), customer.to_owned());
        self.commit(move |c| {
            define::set_limit(c, &deployment, &name, &customer, limit.as_ref(), now)?;
            Ok(c.take_effects())
        })
        .await
    }
}
