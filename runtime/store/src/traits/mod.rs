//! The contract that every store fulfils, in the terms of the domain: one trait for each noun.
//!
//! These rules hold for every method:
//! - A method that writes is one atomic and durable commit. After `Ok`, its effects survive a power
//!   failure and are visible to every read that starts later. After `Err`, it has no effect.
//! - Operations that share a group of commits succeed or fail one by one.
//! - A read sees only whole commits, and never delays a commit.
//! - Every write that belongs to a run carries `(node, epoch)`. A stale epoch is refused.

mod alerts;
mod balances;
mod budgets;
mod deliveries;
mod deployments;
mod feed;
mod findings;
mod health;
mod ledger;
mod modules;
mod node;
mod operations;
mod reports;
mod retention;
mod runs;
mod schedules;
mod secrets;
mod state;
mod subscriptions;
#[cfg(feature = "testing")]
mod testing;
mod topics;

// The list of traits below is the same with and without the feature. Without it, `Send` takes the
// place of the trait for tests, because every store implements `Send`.
#[cfg(not(feature = "testing"))]
use Send as InspectionStore;

pub use alerts::AlertStore;
pub use balances::BalanceStore;
pub use budgets::BudgetStore;
pub use deliveries::DeliveryStore;
pub use deployments::{DeploymentStore, OperatorStore, UsageStore};
pub use feed::FeedStore;
pub use findings::FindingStore;
pub use health::{HealthStore, IncidentStore};
pub use ledger::LedgerStore;
pub use modules::ModuleStore;
pub use node::{NodeStore, StoreHealth};
pub use operations::OperationStore;
pub use reports::ReportStore;
pub use retention::RetentionStore;
pub use runs::{AdmissionStore, FailureStore, RunStore, RunTreeStore, SignalStore, TransactionStore};
pub use schedules::ScheduleStore;
pub use secrets::{MasterKeyStore, SecretStore};
pub use state::StateStore;
pub use subscriptions::{ReplayStore, SubscriptionStore};
#[cfg(feature = "testing")]
pub use testing::InspectionStore;
pub use topics::TopicStore;

macro_rules! store {
    ($first:ident $(+ $noun:ident)+) => {
        /// Stores everything that must survive a restart.
        pub trait Store: $first $(+ $noun)+ + Sync + 'static {}

        impl<S: $first $(+ $noun)+ + Sync + 'static> Store for S {}
    };
}

store!(
    NodeStore
        + ModuleStore
        + DeploymentStore
        + UsageStore
        + OperationStore
        + OperatorStore
        + RunStore
        + AdmissionStore
        + TransactionStore
        + RunTreeStore
        + SignalStore
        + FailureStore
        + ScheduleStore
        + TopicStore
        + SubscriptionStore
        + ReplayStore
        + DeliveryStore
        + StateStore
        + LedgerStore
        + BalanceStore
        + BudgetStore
        + SecretStore
        + MasterKeyStore
        + ReportStore
        + FindingStore
        + HealthStore
        + IncidentStore
        + AlertStore
        + FeedStore
        + RetentionStore
        + InspectionStore
);
