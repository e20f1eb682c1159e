//! What control needs of the engine, as a trait: so that its own tests run scripted guests, without a sandbox.

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

/// One activation as control asks for it: an [`Activation`] whose code is still to be loaded.
pub struct GuestJob {
    /// Which component.
    pub component: ComponentDigest,
    /// Which export is called.
    pub export: Export,
    /// What the export is given, as JSON text.
    pub input: Bytes,
    /// Who and why.
    pub run: Arc<RunContext>,
    /// What is recorded of this generation: replayed first.
    pub journal: Journal,
    /// What was saved beside that journal.
    pub head: Option<Bytes>,
    /// What earlier attempts of this generation used up.
    pub fuel_used: Fuel,
    /// Tells the guest to end.
    pub cancel: CancelToken,
    /// Takes what the guest says while it runs.
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

    /// Executes one activation. A failure, also to load the code, is in the answer.
    async fn run(&self, job: GuestJob) -> ActivationResult;

    /// Replays what is recorded, and goes no further.
    async fn dry_run(&self, job: GuestJob) -> DryRun;

    /// Reads all bytes of a component and of its code; see [`Engine::verify`].
    ///
    /// # Errors
    /// If the bytes are not there, or not what was uploaded.
    async fn verify(&self, component: ComponentDigest) -> Result<(), EngineError>;

    /// Finds the source lines at places of a component; see [`Engine::source_lines`].
    ///
    /// # Errors
    /// If there are no bytes to find them in, or that takes too much.
    async fn source_lines(
        &self,
        component: ComponentDigest,
        places: &[u64],
    ) -> Result<Vec<Vec<SourceFrame>>, EngineError>;

    /// Forgets a component's code.
    fn evict(&self, digest: ComponentDigest);

    /// Figures of this moment.
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
                // Nothing of what is recorded is lost by that.
                let left = || Checkpoint {
                    journal_to: job.journal.position(),
                    head: job.head.clone(),
                    ..Checkpoint::default()
                };
                ActivationResult {
                    outcome: Outcome::Failed { failure: unloaded(&error), cause: Cause::Host },
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
            Err(error) => DryRun::Failed(unloaded(&error)),
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

fn unloaded(error: &EngineError) -> Failure {
    let code = error.code();
    let mut failure = code.failure(error.to_string());
    // Bytes that are missing or damaged now may be restored; bytes that are refused stay so.
    failure.retryable |= matches!(code, Code::ComponentNotFound | Code::StoreDamaged);
    failure
}
