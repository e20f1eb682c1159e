//! What passes between the store and its callers, a file a noun.

mod deployment;
mod feed;
mod ledger;
mod module;
mod page;
mod run;
mod schedule;
mod scrub;
mod state;

pub use deployment::{Deployment, Pause, PutDeployment};
pub use feed::{FeedEntry, FeedEvent};
pub use ledger::{AccountTotal, ExternalId, LedgerCheck, LedgerEntry, LedgerLeg, NewPosting, StreamTotal};
pub use module::{Component, ModuleVersion, PutVersion};
pub use page::{Page, PageRequest};
pub use run::{
    Begins, Claimed, Committed, LogLevel, LogLine, NewRun, ReadCheck, Requested, RunFilter, StateWrite, StretchCommit,
};
pub use schedule::{DueSchedule, Firing, Schedule, ScheduleChange};
pub use scrub::Scrub;
pub use state::{ScanPage, ScanRequest, Version, Versioned};
