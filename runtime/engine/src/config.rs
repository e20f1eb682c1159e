//! The operator's settings of the engine: small structs, one for each concern.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::policy::PolicyInForce;

use crate::egress::EgressPolicy;
use crate::secrets::SecretSource;

/// Default maximum memory of a guest, in bytes.
pub const MEMORY_MAX: u64 = 1 << 30;

/// The configuration of an engine.
#[derive(Clone)]
pub struct EngineConfig {
    /// Folder of the components, as `<hexadecimal digest>.wasm`.
    pub components_dir: PathBuf,
    /// Folder of compiled code. Private to the engine: write access to it is code execution in the
    /// host.
    pub cache_dir: PathBuf,
    /// File of the key that seals compiled code; created if it does not exist. Keep it outside
    /// `cache_dir`, so that code copied from elsewhere is compiled again.
    pub cache_key: PathBuf,
    /// Number of instances in the pool; further runs wait. Default 256.
    pub concurrency: u32,
    /// Maximum memory of any guest, in bytes. Default [`MEMORY_MAX`], at most 4 GiB.
    pub memory_max: u64,
    /// The program that compiles a component.
    pub compiler: CompilerCommand,
    /// Maximum number of quick compilations, and of slow ones in addition. Default 1.
    pub compile_jobs: usize,
    /// The operator's rules for the targets of requests.
    pub egress: EgressPolicy,
    /// Grants that the operator allows deployments.
    pub policy: PolicyInForce,
    /// Source of secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// Extra currency units and their decimal places, such as (`BTC`, 8).
    pub units: Vec<(String, u8)>,
    /// Maximum number of unsaved journal entries. Entries are also saved after 100 ms, at 1 MiB or
    /// with a commit. Default 1,000.
    pub save_entries: u32,
    /// Number of quick guest threads, and of slow ones in addition. Default: one for each core.
    pub guest_threads: usize,
}

/// How to call the program that compiles a component: with `args`, followed by those of
/// [`crate::compile_component_main`].
#[derive(Debug, Clone)]
pub struct CompilerCommand {
    /// The program.
    pub program: PathBuf,
    /// The first arguments.
    pub args: Vec<String>,
    /// Maximum CPU time of one compilation, in seconds. Its maximum wall time is ten times as long.
    /// Default 60.
    pub seconds: u64,
    /// CPU time after which a compilation yields its slot: it continues if a slow slot is free, and
    /// otherwise restarts when one is. Default 3 s.
    pub quick: Duration,
    /// Maximum address space, in bytes. Default 2 GiB.
    pub memory: u64,
}

impl CompilerCommand {
    /// Returns `program` with the default limits.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self { program, args, seconds: 60, quick: Duration::from_secs(3), memory: 2 << 30 }
    }

    /// Returns the running program, called with `compile-component`.
    ///
    /// # Errors
    /// If the system cannot report the path of the program.
    pub fn this_program() -> std::io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, vec!["compile-component".to_owned()]))
    }
}

impl EngineConfig {
    /// Returns the defaults, with `components` and `cache` below `data`, and secrets from the
    /// environment and `<data>/secrets`.
    #[must_use]
    pub fn new(data: &std::path::Path, compiler: CompilerCommand) -> Self {
        Self {
            components_dir: data.join("components"),
            cache_dir: data.join("cache"),
            cache_key: data.join("cache.key"),
            concurrency: 256,
            memory_max: MEMORY_MAX,
            compiler,
            compile_jobs: 1,
            egress: EgressPolicy::default(),
            policy: PolicyInForce::default(),
            secrets: Arc::new(crate::secrets::EnvironmentAndFiles::new(Some(data.join("secrets")))),
            units: Vec::new(),
            save_entries: 1_000,
            guest_threads: std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get),
        }
    }
}
