//! The types that the store exchanges with its callers, one file for each noun. Does not contain
//! the stored layout.

mod alert;
mod budget;
mod commit;
mod deployment;
mod failure;
mod feed;
mod firing;
mod hook_delivery;
mod incident;
mod ledger;
mod module;
mod operation;
mod page;
mod parked;
mod retention;
mod run;
mod schedule;
mod scrub;
mod secret;
mod signal;
mod state;
mod topic;

use serde::{Deserialize, Deserializer};

pub use alert::{AlertCommand, AlertCommit, AlertFilter, NotificationOutcome};
pub use budget::{Budget, BudgetFilter, BudgetLimit, BudgetLine, BudgetWait, NewBudget};
pub use commit::{CommitEffects, CommitStart, ReadCheck, RunCommit, RunCommitResult, StateWrite, StoredJournal};
pub use deployment::{
    BreakerDecision, Deployment, OperatorAnswer, OperatorCall, OperatorChange, OperatorResult, Pause, PutDeployment,
    Usage,
};
pub use failure::{
    FAILURE_DETAILS_BYTES, FAILURE_MESSAGE_BYTES, FAILURE_STEP_BYTES, FAILURES_OF_RUN, FailedPart, FailureRecord,
    NumberedFailure,
};
pub use feed::{FeedEntry, FeedEvent};
pub use firing::{FiringEntry, FiringFate};
pub use hook_delivery::{
    DeliveryAdmission, DeliveryBody, DeliveryFilter, DeliveryPolicy, DeliveryProgress, DeliveryReceipt, DeliveryRecord,
    DeliveryReplay, DeliveryReplayResult, ExpiredDeliveries, HookDelivery, NewDelivery, ReplayObstacle,
};
pub use incident::{HealthyRevisions, IncidentFilter, IncidentUpdate, NewIncident, StandbyRoute};
pub(crate) use ledger::AccountDraft;
pub use ledger::{
    AccountTotal, AppendedEntry, AsOf, BalanceCheck, BalanceDecision, BalanceFilter, BalanceQuestion, Bucket,
    BucketAxis, ClosedPeriod, CustomerAccount, CustomerBalance, CustomerFloor, CustomerQuery, CustomerReport,
    CustomerSum, CustomerTotal, DueBatch, Evidence, ExternalId, Finding, FindingClosure, FindingCount, FindingFilter,
    FloorAccount, FuelSum, FuelTotal, HandEntry, KindSum, LedgerCheck, LedgerEntry, LedgerHead, LedgerLeg, LedgerUnit,
    NewEntry, OwnEntries, RateRecord, ReportScope, ReportSums, StoredReservation, StreamTotal, UnitConflict,
};
pub use module::{Component, ModuleVersion, PutVersion};
pub use operation::{Action, Operation, OperationState, Task};
pub use page::{Page, PageRequest};
pub use parked::{ParkRecord, ParkedFilter, ParkedGroup, ParkedRun};
pub use retention::{ExpiredEvidence, RetentionPolicy, RetentionResult};
pub use run::{
    AdmissionLimits, AdmissionResult, AdmissionTerms, ClaimedRun, DebounceTerms, LaneView, LogLevel, LogLine, LogPage,
    NewRun, QueueKind, QueuePosition, RecoveryFilter, RetryChange, RunCounts, RunFilter, RunRequestResult,
};
pub use schedule::{
    BackfillPart, DueSchedule, FiringCommit, FiringCommitResult, FiringTimes, NewFiring, NextFiring, NominalRange,
    Schedule, ScheduleChange, ScheduleReplan, ScheduleResume, UnendedFirings,
};
pub use scrub::Scrub;
pub use secret::{
    KeyRotation, MasterKeyRecord, PutSecret, PutSecretResult, RewrappedKey, SealedKey, SealedPlace, SealedTable,
    SealedValue, Secret, SecretEncoding, SecretVersion,
};
pub use signal::{
    ChildOutcome, INBOX_BYTES, INBOX_RESERVE_BYTES, INBOX_RESERVE_SIGNALS, INBOX_SIGNALS, InboxSignal, NewSignal,
    SIGNAL_BYTES, SignalReceipt, UndeliveredSignal,
};
pub use state::{ScanPage, ScanRequest, StateEdit, StateEditResult, Version, VersionedValue};
pub use topic::{
    DeliveryCommit, Event, EventPolicy, ExpiredEvents, NewEvent, NewPublication, PublishOutcome, Publisher,
    ReplayCommit, Subscription, SubscriptionChange, SubscriptionLag, SubscriptionReplay, TOPICS, TopicSummary,
};

/// Reads a field that a later release added at the end of a record; bytes that end before it mean
/// the default. Only the last fields of a value that is alone in its record can be read this way.
pub(crate) fn added<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(de: D) -> Result<T, D::Error> {
    Ok(T::deserialize(de).unwrap_or_default())
}
