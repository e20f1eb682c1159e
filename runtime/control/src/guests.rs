//! The engine's interface to control as a trait, so that control's tests can run scripted guests
//! without a sandbox.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidemill_core::journal::Journal;
use tidemill_core::run::Export;
use tidemill_core::{Code, ComponentDigest, Failure, Fuel};
use tidemill_engine::{
    Activation, ActivationResult, CancelToken, Cause, Checkpoint, ComponentInfo, ComponentRejection, DryRun, Engine,
    EngineError, EngineStats, Module, NextAttempt, Outcome, RunChannel, RunContext, SourceFrame,
};

/// One activation as control requests it: an [`Activation`] whose code is not loaded yet.
pub struct GuestJob {
    /// The component to run.
    pub component: ComponentDigest,
    /// The export to call.
    pub export: Export,
    /// The export's input, as JSON text.
    pub input: Bytes,
    /// The run's identity and trigger.
    pub run: Arc<RunContext>,
    /// The journal of this generation, which is replayed first.
    pub journal: Journal,
    /// The replay snapshot that was saved with that journal.
    pub head: Option<Bytes>,
    /// Fuel that earlier attempts of this generation used.
    pub fuel_used: Fuel,
    /// Notifies the guest of a cancellation.
    pub cancel: CancelToken,
    /// Receives what the guest emits while it runs.
    pub sink: Arc<dyn RunChannel>,
}

/// Admits components and executes activations.
#[async_trait]
pub trait GuestExecutor: Send + Sync + 'static {
    /// Compiles and validates a component; see [`Engine::admit`].
    ///
    /// # Errors
    /// Every problem of the component.
    async fn admit(&self, file: &Path, digest: ComponentDigest) -> Result<ComponentInfo, ComponentRejection>;

    /// Executes one activation. The result includes a failure, also one to load the code.
    async fn run(&self, job: GuestJob) -> ActivationResult;

    /// Replays the journal and goes no further.
    async fn dry_run(&self, job: GuestJob) -> DryRun;

    /// Reads all bytes of a component and of its code; see [`Engine::verify`].
    ///
    /// # Errors
    /// If the bytes are missing or differ from the upload.
    async fn verify(&self, component: ComponentDigest) -> Result<(), EngineError>;

    /// Finds the source lines at code addresses of a component; see [`Engine::source_lines`].
    ///
    /// # Errors
    /// If the bytes are missing, or the search takes too long.
    async fn source_lines(
        &self,
        component: ComponentDigest,
        places: &[u64],
    ) -> Result<Vec<Vec<SourceFrame>>, EngineError>;

    /// Evicts a component's code.
    fn evict(&self, digest: ComponentDigest);

    /// Returns the engine's present statistics.
    fn stats(&self) -> EngineStats;
}

#[async_trait]
impl GuestExecutor for Engine {
    async fn admit(&self, file: &Path, digest: ComponentDigest) -> Result<ComponentInfo, ComponentRejection> {
        Engine::admit(self, file, digest).await
    }

    async fn run(&self, job: GuestJob) -> ActivationResult {
        match self.module(job.component).await {
            Ok(module) => Engine::run(self, job.activation(module)).await,
            Err(error) => {
                // The recorded state stays complete.
                let left = || Checkpoint {
                    journal_to: job.journal.position(),
                    head: job.head.clone(),
                    ..Checkpoint::default()
                };
                ActivationResult {
                    outcome: Outcome::Failed { failure: load_failure(&error), cause: Cause::Host },
                    all: left(),
                    kept: left(),
                    again: left(),
                    journal: Some(job.journal),
                    fuel: Fuel::default(),
                    peak_memory: 0,
                    redo: false,
                    told: false,
                    next_attempt: NextAttempt::default(),
                }
            }
        }
    }

    async fn dry_run(&self, job: GuestJob) -> DryRun {
        match self.module(job.component).await {
            Ok(module) => Engine::dry_run(self, job.activation(module)).await,
            Err(error) => DryRun::Failed(load_failure(&error)),
        }
    }

    async fn verify(&self, component: ComponentDigest) -> Result<(), EngineError> {
        Engine::verify(self, component).await
    }

    async fn source_lines(
        &self,
        component: ComponentDigest,
        places: &[u64],
    ) -> Result<Vec<Vec<SourceFrame>>, EngineError> {
        Engine::source_lines(self, component, places).await
    }

    fn evict(&self, digest: ComponentDigest) {
        Engine::evict(self, digest);
    }

    fn stats(&self) -> EngineStats {
        Engine::stats(self)
    }
}

impl GuestJob {
    fn activation(self, module: Arc<Module>) -> Activation {
        let Self { component: _, export, input, run, journal, head, fuel_used, cancel, sink } = self;
        Activation { module, export, input, run, journal, head, fuel_used, cancel, sink }
    }
}

fn load_failure(error: &EngineError) -> Failure {
    let code = error.code();
    let mut failure = code.failure(error.to_string());
    // Missing or damaged bytes may be restored. Rejected bytes stay rejected.
    failure.retryable |= matches!(code, Code::ComponentNotFound | Code::StoreDamaged);
    failure
}
