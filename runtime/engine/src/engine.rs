//! The engine's front: admit a component, load it, run it.

use std::path::Path;
use std::sync::Arc;

use tidemill_core::{Clock, Code, ComponentDigest, Fuel};
use tidemill_store::Store;

use crate::activation::{Activation, Cause, Effects, Ended, Outcome};
use crate::config::EngineConfig;
use crate::error::{Admitted, EngineError, Refused};
use crate::module::Module;

/// Runs components. One for each host; cheap to share.
pub struct Engine {
    config: EngineConfig,
}

/// Figures for people and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Guests that run now, or wait in a host call.
    pub running: u64,
    /// Guests that wait for room in the pool.
    pub waiting: u64,
    /// Modules held in memory.
    pub modules: u64,
    /// Components compiled since the start.
    pub compiled: u64,
    /// Modules loaded from the code cache since the start.
    pub loaded: u64,
    /// Calls that moved to the slow threads since the start.
    pub moved: u64,
    /// Whether instances come from the pool; otherwise they are made on demand.
    pub pooled: bool,
}

impl Engine {
    /// Builds the engine and starts its threads.
    ///
    /// # Errors
    /// [`EngineError::Start`] where the folders cannot be made private or the machine allows no engine.
    pub fn new(config: EngineConfig, _store: Arc<dyn Store>, _clock: Arc<dyn Clock>) -> Result<Arc<Self>, EngineError> {
        Ok(Arc::new(Self { config }))
    }

    /// Compiles and validates a component and leaves its code in the cache.
    ///
    /// # Errors
    /// Every problem of the component, each with its code and its fix.
    pub async fn admit(&self, _bytes_file: &Path, _digest: ComponentDigest) -> Result<Admitted, Refused> {
        Err(Refused::by_host("the engine is being built"))
    }

    /// The component's code: from memory, else from the code cache, else compiled anew from its bytes.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] where there are no bytes.
    pub async fn module(&self, digest: ComponentDigest) -> Result<Arc<Module>, EngineError> {
        let _ = &self.config;
        Err(EngineError::NotFound(digest))
    }

    /// Executes one activation on the engine's own threads. A failure is in the answer; it never panics.
    pub async fn run(&self, _activation: Activation) -> Ended {
        Ended {
            outcome: Outcome::Failed {
                failure: Code::Internal.failure("the engine is being built"),
                cause: Cause::Host,
            },
            effects: Effects::default(),
            fuel: Fuel::default(),
            peak_memory: 0,
            redo: false,
        }
    }

    /// Forgets a component's code in memory and in the cache; runs that have it keep it.
    pub fn evict(&self, _digest: ComponentDigest) {}

    /// Figures of this moment.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}

/// What the hidden command `compile-component` does: reads the component at the first of `args`, writes its code to the
/// second. Bounds itself first; to be called at the very start of a process.
pub fn compile_component_main(_args: &[std::ffi::OsString]) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
