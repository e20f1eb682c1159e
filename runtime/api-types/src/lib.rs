//! The JSON shapes of the HTTP API, each of them once: the server writes them, and clients read
//! them.
//!
//! A shape borrows from the record that it shows, so that the server copies nothing. A client reads
//! it with the lifetime `'static`. Fields may be added to any shape, so a reader ignores unknown
//! ones.

#![forbid(unsafe_code)]

mod alert;
mod breaker;
mod budget;
mod component;
mod delivery;
mod deployment;
mod event;
mod health;
mod incident;
mod json;
mod ledger;
mod module;
mod operation;
mod problem;
mod run;
mod run_action;
mod schedule;
mod secret;
mod shared;
mod topic;

pub use alert::{
    AcknowledgeRequest, Acknowledgement, Alert, AlertChannel, AlertChannelTest, AlertDetail, Notification, Silence,
    SilenceRequest,
};
pub use breaker::{Breaker, BreakerDecision, BreakerRequest};
pub use budget::{Budget, BudgetLimitRequest};
pub use component::Component;
pub use delivery::{
    Delivery, DeliveryActionRequest, DeliveryFilter, DeliveryReceipt, DeliveryReplayPlan, Header, Hook, HookCount,
    HookRefusal,
};
pub use deployment::{
    DeployResult, Deployment, ManifestChange, NextFirings, PauseRequest, RollbackRequest, StateChange, StateEntry,
};
pub use event::{FeedDetail, FeedEvent};
pub use health::{
    ClockSetBack, DeploymentHealth, Health, HealthCheckResult, HealthSignal, HealthSummary, HealthTransition,
    ObjectiveStatus, Scrub, SilentSchedule, StoreHealth, Uptimes, ZoneData,
};
pub use incident::{
    EvidenceFigure, FailedRun, Incident, IncidentDetails, IncidentEvidence, IncidentRequest, Repair, TimelineEntry,
};
pub use json::StoredJson;
pub use ledger::{
    Account, Amount, ClosedPeriod, ConvertedRevenue, CorrectionRequest, CorrectionResult, CustomerBalance,
    CustomerCurrency, CustomerFloor, CustomerGrant, CustomerReport, CustomerRevenue, EntryEvidence, ExchangeRate,
    Finding, FindingClosure, FindingCount, FloorRequest, FuelReport, FuelRevenue, GrantRequest, Growth, GrowthLine,
    LedgerCheck, LedgerEntry, LedgerEntryDetail, LedgerHead, LedgerLeg, PeriodRevenue, RateRequest, ReportBasis,
    ReportRange, Revenue, RevenueTotal, RightEntry, Statement, StatementAccount, StatementCurrency, StatementLine,
    Stream, StreamFuel,
};
pub use module::{Module, ModuleVersion, UploadResult};
pub use operation::{Operation, OperationTask, RunAction, ScheduleAction};
pub use problem::{FieldProblem, ProblemDetails};
pub use run::{
    CancelRequest, Explanation, Failure, FailureEntry, InboxSignal, JournalEntry, LogLine, Progress, Run, RunStack,
    SignalResult, StackFrame, Stage, Trigger, Wait, WaitFor,
};
pub use run_action::{
    ParkedGroup, ParkedPage, ParkedRun, RetryCheck, RetryRequest, RetryResult, RunActionRequest, RunFilter,
};
pub use schedule::{
    BackfillPlan, BackfillRequest, Firing, Schedule, ScheduleActionRequest, ScheduleFilter, SchedulePreview,
    UpcomingFiring,
};
pub use secret::{KeyRotation, MasterKey, NeededKey, OlderSecret, Secret, SecretRequest};
pub use shared::{List, Pause, Time};
pub use topic::{
    PublishResult, Publisher, ReplayPlan, ReplayRequest, SkipResult, Subscription, Topic, TopicDeletion, TopicEvent,
};
