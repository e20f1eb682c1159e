//! What the operator decides about the engine; small structs, one per concern.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::policy::PolicyInForce;

use crate::egress::EgressPolicy;
use crate::secrets::SecretSource;

/// The most memory that a guest may have where the operator decides nothing else, in bytes.
pub const MEMORY_MAX: u64 = 1 << 30;

/// How an engine is set up.
#[derive(Clone)]
pub struct EngineConfig {
    /// Where components lie, as `<hexadecimal digest>.wasm`.
    pub components_dir: PathBuf,
    /// Where compiled code is kept. Private to the engine: whoever can write here can run code in the host.
    pub cache_dir: PathBuf,
    /// The file of the key that seals compiled code; made if it is not there. Not in `cache_dir`, so that code which is brought from
    /// elsewhere is compiled again.
    pub cache_key: PathBuf,
    /// How many instances the pool holds at once; more wait. Default 256.
    pub concurrency: u32,
    /// The most memory that any guest may have, in bytes. Default [`MEMORY_MAX`], at most 4 GiB.
    pub memory_max: u64,
    /// What compiles a component.
    pub compiler: CompilerCommand,
    /// How many compilations that have just begun may run at once, and besides these how many that take long. Default 1.
    pub compile_jobs: usize,
    /// What the operator lets requests reach.
    pub egress: EgressPolicy,
    /// What the operator lets deployments be granted.
    pub policy: PolicyInForce,
    /// Where secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// Units of money beside ISO 4217, with their exponents, such as (`BTC`, 8).
    pub units: Vec<(String, u8)>,
    /// What a run has recorded is saved after so many entries, if no commit comes first; or after 100 ms, or with a MiB. Default 1,000.
    pub save_entries: u32,
    /// Threads on which guests run; and as many again, of low priority, for those that take long. Default: one for each core.
    pub guest_threads: usize,
}

/// How the program is called that compiles a component: with `args` and then those of [`crate::compile_component_main`].
#[derive(Debug, Clone)]
pub struct CompilerCommand {
    /// The program.
    pub program: PathBuf,
    /// What comes before those.
    pub args: Vec<String>,
    /// The CPU time that one compilation may take, in seconds. It may take ten times as long on the clock. Default 60.
    pub seconds: u64,
    /// The CPU time after which a compilation gives way to others: it goes on if no other takes long, and else begins again in its
    /// turn. Default 3 s.
    pub quick: Duration,
    /// How much address space it may use, in bytes. Default 2 GiB.
    pub memory: u64,
}

impl CompilerCommand {
    /// `program` with the default bounds.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self { program, args, seconds: 60, quick: Duration::from_secs(3), memory: 2 << 30 }
    }

    /// The program that runs now, called with `compile-component`.
    ///
    /// # Errors
    /// Where the machine cannot say which program that is.
    pub fn this_program() -> std::io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, vec!["compile-component".to_owned()]))
    }
}

impl EngineConfig {
    /// The defaults, with `components` and `cache` below `data`, secrets from the environment and `<data>/secrets`.
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
