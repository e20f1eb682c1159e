//! What decides in Tidemill: when a run begins, what follows from how it ended, when a schedule fires.
//!
//! [`Host`] is the front for all that is asked of a host. Behind it are small reconcile loops over the store (dispatcher,
//! scheduler, take-over, housekeeping, scrubbing), and the work on one run, which ends in one commit. The rules that need no I/O
//! are in `tidemill_core`; what runs a guest is the engine's, which stands behind [`Guests`].

#![forbid(unsafe_code)]

mod adopt;
mod alarm;
mod backfill;
mod blocked;
mod caused;
mod chance;
mod collection;
mod config;
mod delivery;
mod deploy;
mod dispatch;
mod end_log;
mod error;
mod explain;
mod exports;
mod going;
mod guests;
mod host;
mod housekeeping;
mod invoke;
mod journal;
mod live;
mod looping;
mod metrics;
mod operations;
mod outcomes;
mod replays;
mod retry;
mod rollback;
mod runs;
mod scheduler;
mod schedules;
mod scrubbing;
mod sent;
mod setback;
mod signals;
mod sink;
mod slots;
mod stack;
mod starting;
mod state;
mod steering;
mod subscribers;
mod takeover;
mod topics;
mod turns;
mod upload;
mod waiting;
mod work;
mod zones;

pub use backfill::{BACKFILL_MAX, BackfillAsk};
pub use blocked::Block;
pub use config::HostConfig;
pub use deploy::{Deployed, NOTE_BYTES, Preview};
pub use error::ControlError;
pub use explain::{Explanation, Stage, StageName, Verdict};
pub use exports::misfits;
pub use guests::{Guests, Job};
pub use host::{Host, Readiness};
pub use invoke::{Invoked, WAIT_MAX};
pub use metrics::Metrics;
pub use retry::{Retried, RetryAsk};
pub use runs::{Ask, DELAY_MAX, LABEL_BYTES, RUN_LABELS};
pub use schedules::{PASSED_MAX, PREVIEW_MAX};
pub use sent::KEY_BYTES;
pub use setback::ClockSetBack;
pub use signals::{SIGNAL_NAME_BYTES, SignalSent, SignalTo};
pub use stack::RunStack;
pub use steering::ScheduleFilter;
pub use tidemill_core::wire::InputProblem;
pub use tidemill_engine::DryRun;
pub use topics::EventSent;
pub use upload::Uploaded;
pub use zones::{ZoneDirectory, ZoneReport, install_zones};
