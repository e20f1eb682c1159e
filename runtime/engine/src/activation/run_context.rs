//! What a guest can learn about its run, and the run's limits.

use std::sync::Arc;

use tidemill_core::budget::BudgetSpec;
use tidemill_core::manifest::{Grants, LedgerPolicy};
use tidemill_core::retry::RetryPolicy;
use tidemill_core::run::{Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Limits, Revision, RunId, Timestamp};

/// What a guest can learn about its run, and the run's limits.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The run.
    pub id: RunId,
    /// The run's deployment; also the stream of its postings.
    pub deployment: DeploymentName,
    /// The revision of the deployment.
    pub revision: Revision,
    /// The component that the run executes.
    pub component: ComponentDigest,
    /// The idempotency key.
    pub key: Option<String>,
    /// What started the run.
    pub trigger: Trigger,
    /// When the run was requested.
    pub created_at: Timestamp,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Number of the generation, from 1.
    pub generation: u32,
    /// The deployment's configuration: the text of one JSON value.
    pub config: Arc<str>,
    /// The run's limits.
    pub limits: Limits,
    /// The run's grants if `RunChannel::grants` returns none.
    pub grants: Arc<Grants>,
    /// How the ledger treats the run's entries: the deployment's.
    pub ledger: LedgerPolicy,
    /// The deployment's budgets; `None` if it has none.
    pub budgets: Option<Arc<[BudgetSpec]>>,
    /// Retry policy of steps that name none: the deployment's.
    pub step_retry: RetryPolicy,
    /// Seed of the run's random generators.
    pub seed: Seed,
    /// Sequence number of the next log line.
    pub next_log_seq: u64,
    /// Number of times that the open transaction was refused because of a conflict, and redone.
    pub redone: u32,
}
