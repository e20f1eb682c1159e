//! Decides when a run starts, what follows from its end, and when a schedule fires.
//!
//! [`ControlPlane`] is the front for every request to a host. It drives small reconcile loops over
//! the store (dispatcher, scheduler, recovery, retention, scrub) and the execution of runs, each of
//! which ends in one commit. Rules that need no I/O are in `tidemill_core`. The engine runs guests
//! through [`GuestExecutor`].

#![forbid(unsafe_code)]

mod alerts;
mod config;
mod control_plane;
mod deployment;
mod error;
mod explain;
#[cfg(test)]
mod fixture;
mod guests;
mod healing;
mod health;
mod hook;
mod ledger_units;
mod metrics;
mod operation;
mod random;
mod reconcile;
mod run;
mod run_to_completion;
mod schedule;
mod secret;
mod shutdown;
mod state;
mod store_failures;
mod topic;
mod validate;

pub use crate::alerts::{AlertView, ChannelStatus, ChannelTest, PendingAlert};
pub use crate::deployment::breaker::BreakerReport;
pub use crate::deployment::deploy::{DeployResult, Preview};
pub use crate::deployment::exports::misfits;
pub use crate::deployment::recycle::RecycleResult;
pub use crate::deployment::upload::UploadResult;
pub use crate::healing::{IncidentAction, IncidentDetails};
pub use crate::health::{CheckResult, DeploymentHealth, HealthSummary, ObjectiveStatus, Vital};
pub use crate::hook::endpoint::{HookEndpoint, HookView};
pub use crate::hook::provider::{NoProviders, ProviderRequests};
pub use crate::hook::receive::{HookAnswer, HookCall};
pub use crate::hook::refusals::Refusal;
pub use crate::hook::reply::HookReply;
pub use crate::run::completion::InvokeResult;
pub use crate::run::invoke::WAIT_MAX;
pub use crate::run::request::{DELAY_MAX, LABEL_BYTES, RUN_LABELS, RunRequest};
pub use crate::run::retry::{RetryRequest, RetryResult};
pub use crate::run::signal::{SIGNAL_NAME_BYTES, SignalResult, SignalTarget};
pub use crate::run::stack::RunStack;
pub use crate::schedule::backfill::{BACKFILL_MAX, BackfillRequest};
pub use crate::schedule::bulk::ScheduleFilter;
pub use crate::schedule::firing::PASSED_MAX;
pub use crate::schedule::manage::PREVIEW_MAX;
pub use crate::schedule::monitor::{ClockSetBack, ScheduleBlock};
pub use crate::schedule::zone_data::{ZoneDirectory, ZoneReport, install_zones};
pub use crate::secret::keys::{MasterKeyStatus, key_id};
pub use crate::secret::manage::{ListedSecret, OVERLAP_MAX, SECRETS_MAX, SecretChange, SecretPutResult};
pub use crate::topic::publish::PublishResult;
pub use config::HostConfig;
pub use control_plane::Readiness;
pub use error::ControlError;
pub use explain::{Explanation, Stage, StageName, StageVerdict};
pub use guests::GuestExecutor;
pub use metrics::Metrics;
pub use state::ControlPlane;
pub use tidemill_core::wire::InputProblem;
pub use tidemill_engine::secrets::SECRET_BYTES;
pub use tidemill_engine::{Activation, DryRun};
pub use tidemill_webhook::HandshakeReply;
pub use validate::{KEY_BYTES, NOTE_BYTES};
