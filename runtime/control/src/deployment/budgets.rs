//! Limits of single customers in budgets.

use std::sync::Arc;

use tidemill_core::{BudgetName, DeploymentName};
use tidemill_store::records::BudgetLimit;

use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

impl ControlPlane {
    /// Sets the limit of one customer in a budget of each customer; `None` removes it. Runs of this
    /// customer that wait for the budget are admitted at once as far as the new limit has room.
    ///
    /// # Errors
    /// If there is no such budget of each customer, or the store cannot be written.
    pub async fn set_budget_limit(
        &self,
        deployment: &DeploymentName,
        name: &BudgetName,
        customer: &str,
        limit: Option<i64>,
    ) -> Result<(), ControlError> {
        let (host, deployment) = (Arc::clone(&self.0), deployment.clone());
        let (name, customer) = (name.clone(), customer.to_owned());
        run_to_completion(async move {
            let now = host.clock.now();
            let own = limit.map(|limit| BudgetLimit { limit, set_at: now });
            let set = host.store.set_budget_limit(&deployment, &name, &customer, own, now).await;
            host.effects.apply(set.inspect_err(|error| host.store_failures.record(error))?);
            host.finding_wake.notify_one();
            Ok(())
        })
        .await
    }
}
