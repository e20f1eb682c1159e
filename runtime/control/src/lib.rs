//! What decides in Tidemill: when a run begins, what follows from how it ended, when a schedule fires.
//!
//! [`ControlPlane`] is the front for all that is asked of a host. Behind it are small reconcile loops over the store (dispatcher,
//! scheduler, take-over, housekeeping, scrubbing), and the work on one run, which ends in one commit. The rules that need no I/O
//! are in `tidemill_core`; what runs a guest is the engine's, which stands behind [`GuestExecutor`].

#![forbid(unsafe_code)]

mod config;
mod control_plane;
mod deployment;
mod error;
mod explain;
mod guests;
mod metrics;
mod random;
mod reconcile;
mod run;
mod schedule;
mod topic;
mod validate;

pub use crate::deployment::deploy::{DeployResult, NOTE_BYTES, Preview};
pub use crate::deployment::exports::misfits;
pub use crate::deployment::upload::UploadResult;
pub use crate::reconcile::zones::{ZoneDirectory, ZoneReport, install_zones};
pub use crate::run::invoke::{InvokeResult, WAIT_MAX};
pub use crate::run::request::{DELAY_MAX, LABEL_BYTES, RUN_LABELS, RunRequest};
pub use crate::run::retry::{RetryRequest, RetryResult};
pub use crate::run::signal::{SIGNAL_NAME_BYTES, SignalResult, SignalTarget};
pub use crate::run::stack::RunStack;
pub use crate::schedule::backfill::{BACKFILL_MAX, BackfillRequest};
pub use crate::schedule::blocked::Block;
pub use crate::schedule::bulk::ScheduleFilter;
pub use crate::schedule::clock_setback::ClockSetBack;
pub use crate::schedule::manage::{PASSED_MAX, PREVIEW_MAX};
pub use crate::topic::publish::PublishResult;
pub use config::HostConfig;
pub use control_plane::{ControlPlane, Readiness};
pub use error::ControlError;
pub use explain::{Explanation, Stage, StageName, StageVerdict};
pub use guests::{GuestExecutor, GuestJob};
pub use metrics::Metrics;
pub use tidemill_core::wire::InputProblem;
pub use tidemill_engine::DryRun;
pub use validate::KEY_BYTES;
