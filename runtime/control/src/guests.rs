//! The engine's interface to control as a trait, so that control's tests can run scripted guests
//! without a sandbox.

use std::path::Path;

use async_trait::async_trait;
use tidemill_core::{Code, ComponentDigest, Failure, Fuel};
use tidemill_engine::{
    Activation, ActivationResult, Cause, Checkpoint, ComponentInfo, ComponentRejection, DryRun, Engine, EngineError,
    EngineStats, NextAttempt, Outcome, SourceFrame,
};

/// Admits components and executes activations.
#[async_trait]
pub trait GuestExecutor: Send + Sync + 'static {
    /// Compiles and validates a component; see [`Engine::admit`].
    ///
    /// # Errors
    /// Every problem of the component.
    async fn admit(&self, file: &Path, digest: ComponentDigest) -> Result<ComponentInfo, ComponentRejection>;

    /// Executes one activation. The result includes a failure, also one to load the code.
    async fn run(&self, activation: Activation) -> ActivationResult;

    /// Replays the journal and goes no further.
    async fn dry_run(&self, activation: Activation) -> DryRun;

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

    async fn run(&self, activation: Activation) -> ActivationResult {
        match self.module(activation.run.component).await {
            Ok(module) => Engine::run(self, module, activation).await,
            Err(error) => {
                // The recorded state stays complete.
                let left = || Checkpoint {
                    journal_to: activation.journal.position(),
                    snapshot: activation.snapshot.clone(),
                    ..Checkpoint::default()
                };
                ActivationResult {
                    outcome: Outcome::Failed { failure: load_failure(&error), cause: Cause::Host },
                    all: left(),
                    kept: left(),
                    again: left(),
                    journal: Some(activation.journal),
                    fuel: Fuel::default(),
                    peak_memory: 0,
                    redo: false,
                    notified: false,
                    next_attempt: NextAttempt::default(),
                }
            }
        }
    }

    async fn dry_run(&self, activation: Activation) -> DryRun {
        match self.module(activation.run.component).await {
            Ok(module) => Engine::dry_run(self, module, activation).await,
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

fn load_failure(error: &EngineError) -> Failure {
    let code = error.code();
    let mut failure = code.failure(error.to_string());
    // Missing or damaged bytes may be restored. Rejected bytes stay rejected.
    failure.retryable |= matches!(code, Code::ComponentNotFound | Code::StoreDamaged);
    failure
}
