//! What goes into one activation of a run and what comes out: the border between those who decide that a run
//! executes and the sandbox that executes it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::manifest::Grants;
use tidemill_core::run::{Export, Progress, Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Failure, Fuel, Limits, RunId, Timestamp};
use tidemill_store::records::{LogLine, NewPosting, ReadCheck, StateWrite};

use crate::cancel::CancelToken;
use crate::module::Module;

/// One stay of a run in memory: everything that executing it needs.
pub struct Activation {
    /// The component's code.
    pub module: Arc<Module>,
    /// Which export is called.
    pub export: Export,
    /// What the export is given, as JSON text: for `workflow` the input itself, for `revenue-stream` the period
    /// `{"start": ms, "end": ms}`, for `webhook` a delivery; nothing is read for `health`.
    pub input: Bytes,
    /// Who and why.
    pub run: Arc<RunContext>,
    /// What earlier attempts of this generation used up; the limit less this is what the guest may use now.
    pub fuel_used: Fuel,
    /// Tells the guest to end.
    pub cancel: CancelToken,
    /// Takes what the guest says while it runs.
    pub sink: Arc<dyn RunSink>,
}

/// What a guest can learn about its run, and what bounds it.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The run.
    pub id: RunId,
    /// The deployment it belongs to; also the stream that its postings go to.
    pub deployment: DeploymentName,
    /// The component it executes.
    pub component: ComponentDigest,
    /// What started it.
    pub trigger: Trigger,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Counts from 1.
    pub attempt: u32,
    /// Counts from 1.
    pub generation: u32,
    /// The deployment's configuration: the text of one JSON value.
    pub config: Arc<str>,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Arc<Grants>,
    /// What its randomness comes from.
    pub seed: Seed,
    /// The place of its next log line.
    pub next_log_seq: u64,
}

/// Takes what a run says while it goes on. All methods but `leaving` return at once and never fail.
#[async_trait]
pub trait RunSink: Send + Sync + 'static {
    /// Awaited once in an activation, before the first request that is neither GET nor HEAD leaves: makes the run
    /// durable and visible as running.
    ///
    /// # Errors
    /// Where that is impossible, the request does not leave and the run ends with this failure.
    async fn leaving(&self) -> Result<(), Failure>;

    /// A line of the run's log; `seq` rises by one with each.
    fn log(&self, line: LogLine);

    /// How far the run has come.
    fn progress(&self, progress: Progress);

    /// What the run says of itself: the text of a JSON value of at most 64 KiB.
    fn status(&self, json: String);

    /// A sample of one of the guest's own metrics.
    fn metric(&self, metric: Metric);
}

/// A sample of a guest's own metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What is done with the value.
    pub kind: MetricKind,
    /// 1 to 64 lower-case letters, digits and underscores, the first a letter.
    pub name: String,
    /// A finite number; of a count not negative.
    pub value: f64,
    /// At most 8 names, formed as `name` is, with values of at most 128 bytes.
    pub labels: Vec<(String, String)>,
}

/// The kinds of sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Adds to a counter.
    Count,
    /// Sets a gauge.
    Gauge,
    /// Goes into a histogram.
    Observe,
}

/// How an activation ended and what it leaves to be committed.
#[derive(Debug)]
pub struct Ended {
    /// Output or failure.
    pub outcome: Outcome,
    /// What it read, wrote and posted; belongs into one commit with the outcome.
    pub effects: Effects,
    /// What this activation used up, host calls included.
    pub fuel: Fuel,
    /// The most that all its memories and tables held together, in bytes.
    pub peak_memory: u64,
    /// Set where a read has changed already while it ran: committing is in vain, do the stretch again.
    pub redo: bool,
}

/// What a stretch leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What the commit must find unchanged.
    pub reads: Vec<ReadCheck>,
    /// What is written to the deployment's state; one change a key.
    pub writes: Vec<StateWrite>,
    /// What is posted to the ledger, in order.
    pub postings: Vec<NewPosting>,
}

/// What an activation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The JSON text of what the export answered. For `webhook` it is `{"status", "headers", "body"}` with the body in base64,
    /// for `health` `{"status": "healthy" | "degraded" | "unhealthy", "reason"?}`.
    Output(Bytes),
    /// It did not succeed.
    Failed {
        /// Why.
        failure: Failure,
        /// Who is to blame.
        cause: Cause,
    },
}

/// Where a failure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The export returned it.
    Guest,
    /// The guest trapped, called exit, or answered what is not valid.
    Trap,
    /// It met one of its limits.
    Limit,
    /// The host could not carry it out.
    Host,
    /// It was cancelled, or the host shuts down.
    Cancelled,
}
