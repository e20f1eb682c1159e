//! The input and result of one activation of a run: the interface between the control plane, which
//! decides that a run executes, and the sandbox, which executes it.

pub(crate) mod channel;
pub(crate) mod execute;
pub(crate) mod exports;
pub(crate) mod result;
pub(crate) mod run_context;

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::Fuel;
use tidemill_core::journal::Journal;
use tidemill_core::run::Export;

use crate::activation::channel::RunChannel;
use crate::activation::run_context::RunContext;
use crate::guest::cancel::CancelToken;

/// One stay of a run in memory: everything that is needed to execute it,
/// except the code of [`RunContext::component`].
pub struct Activation {
    /// The export to call.
    pub export: Export,
    /// The input of the export as JSON text: for `workflow` the input itself, for `revenue-stream`
    /// the period `{"start": ms, "end": ms}`, for `webhook` a delivery. `health` reads none.
    pub input: Bytes,
    /// The run, its deployment and its limits.
    pub run: Arc<RunContext>,
    /// The journal of this generation, replayed first. It need not be rewound. A health check has
    /// none.
    pub journal: Journal,
    /// The replay snapshot stored with the journal, as the engine returned it; `None` if it
    /// returned none.
    pub snapshot: Option<Bytes>,
    /// Fuel used by earlier attempts of this generation, as far as the caller knows. A higher
    /// figure in the journal or its snapshot takes precedence. The guest may use the rest of its
    /// limit; replay is counted separately.
    pub fuel_used: Fuel,
    /// Cancels the run.
    pub cancel: CancelToken,
    /// Receives what the run does while it executes.
    pub channel: Arc<dyn RunChannel>,
}
