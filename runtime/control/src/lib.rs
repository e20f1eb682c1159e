//! Decides when a run starts, what follows from its end, and when a schedule fires.
//!
//! [`ControlPlane`] is the front for every request to a host. It drives small reconcile loops over
//! the store (dispatcher, scheduler, recovery, retention, scrub) and the execution of runs, each of
//! which ends in one commit. Rules that need no I/O are in `tidemill_core`. The engine runs guests
//! through [`GuestExecutor`].

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
pub use crate::schedule::blocked::ScheduleBlock;
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
