//! The engine: admits a component, loads it and runs it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tidemill_core::money::Currencies;
use tidemill_core::{Clock, Code, ComponentDigest, Fuel};
use tidemill_store::Store;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore, oneshot};
use tracing::Instrument as _;

use crate::activation::Activation;
use crate::activation::execute::execute;
use crate::activation::result::{ActivationResult, DryRun, Outcome};
use crate::component::compile::{ChildError, CodeCache, Compiler, InspectionReport, header};
use crate::component::module::Module;
use crate::component::validate;
use crate::config::EngineConfig;
use crate::egress::{Egress, ProviderClient};
use crate::error::{ComponentInfo, ComponentProblem, ComponentRejection, EngineError};
use crate::guest::HostServices;
use crate::guest::cpu::{Meter, MeteredFuture, YieldReason};
use crate::guest::stack::SourceFrame;
use crate::guest::trap::Cause;
use crate::host::{self, Contract};
use crate::sandbox::{self, Purpose};
use crate::threads::pool::ThreadPools;
use crate::threads::ticker::Ticker;
use crate::transaction::effects::Effects;

/// Runs components. There is one for each host; it is cheap to share.
pub struct Engine {
    shared: Arc<EngineState>,
    config: EngineConfig,
    cache: Arc<CodeCache>,
    compiler: Compiler,
    threads: ThreadPools,
    modules: Mutex<HashMap<ComponentDigest, Arc<OnceCell<Arc<Module>>>>>,
    slots: Arc<Semaphore>,
    services: Arc<HostServices>,
    ticker: Arc<Ticker>,
    pooled: bool,
}

/// State shared with other threads.
struct EngineState {
    engine: wasmtime::Engine,
    contract: Contract,
    counts: EngineCounters,
}

#[derive(Default)]
struct EngineCounters {
    running: AtomicU64,
    waiting: AtomicU64,
    compiled: AtomicU64,
    loaded: AtomicU64,
    moved: AtomicU64,
}

/// Statistics of the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Guests that run now, or wait in a host call.
    pub running: u64,
    /// Guests that wait for a slot in the pool.
    pub waiting: u64,
    /// Modules in memory.
    pub modules: u64,
    /// Components compiled since the start.
    pub compiled: u64,
    /// Modules loaded from the code cache since the start.
    pub loaded: u64,
    /// Calls that moved to the slow threads since the start.
    pub moved: u64,
    /// Whether instances come from the pool; otherwise they are allocated on demand.
    pub pooled: bool,
}

impl Engine {
    /// Returns the currencies and units that entries may have.
    #[must_use]
    pub fn currencies(&self) -> &Currencies {
        &self.services.currencies
    }

    /// Builds the engine and starts its threads.
    ///
    /// # Errors
    /// [`EngineError::Start`] if the machine allows no engine, [`EngineError::Io`] if the code
    /// cache cannot be made private.
    pub fn new(config: EngineConfig, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, EngineError> {
        let start = |error: String| EngineError::Start(error);
        let slots = config.concurrency.max(1);
        let units = config.units.iter().map(|(code, exponent)| (code.as_str(), *exponent));
        let currencies = Currencies::with_declared(units).map_err(|error| start(error.to_string()))?;
        let sandbox = sandbox::build(Purpose::Run { slots, memory_max: config.memory_max })
            .map_err(|error| start(error.to_string()))?;
        let contract = host::contract(&sandbox.engine).map_err(|error| start(error.to_string()))?;
        let cache = CodeCache::open(&config.cache_dir, &config.cache_key, &sandbox.engine)?;
        let ticker = Ticker::start(sandbox.engine.clone()).map_err(|error| start(error.to_string()))?;
        let threads = ThreadPools::start(config.guest_threads).map_err(|error| start(error.to_string()))?;
        Ok(Arc::new(Self {
            shared: Arc::new(EngineState { engine: sandbox.engine, contract, counts: EngineCounters::default() }),
            compiler: Compiler::new(config.compiler.clone(), config.compile_jobs),
            cache: Arc::new(cache),
            threads,
            modules: Mutex::default(),
            slots: Arc::new(Semaphore::new(slots as usize)),
            services: Arc::new(HostServices {
                store,
                secrets: Arc::clone(&config.secrets),
                egress: Arc::new(Egress::new(Arc::clone(&clock), config.egress.roots.clone())),
                clock,
                policy: Arc::new(config.egress.clone()),
                operator: config.policy.clone(),
                currencies,
                memory_max: config.memory_max,
                save_entries: config.save_entries.max(1),
            }),
            ticker: Arc::new(ticker),
            pooled: sandbox.pooled,
            config,
        }))
    }

    /// Returns the client for the host's own requests.
    #[must_use]
    pub fn provider_client(&self) -> ProviderClient {
        let HostServices { egress, policy, operator, secrets, .. } = &*self.services;
        ProviderClient::new(Arc::clone(egress), Arc::clone(policy), operator.clone(), Arc::clone(secrets))
    }

    /// Compiles the component in `bytes_file`, validates it and stores its code in the cache.
    ///
    /// # Errors
    /// Every problem of the component, each with its code and its fix.
    pub async fn admit(&self, bytes_file: &Path, digest: ComponentDigest) -> Result<ComponentInfo, ComponentRejection> {
        let begin =
            begin_of(bytes_file).await.map_err(|error| ComponentRejection::by_host(format!("the upload: {error}")))?;
        header(&begin)
            .map_err(|message| ComponentRejection::one(ComponentProblem::new(Code::ComponentInvalid, message)))?;
        let by_host = |unworked| match unworked {
            ChildError::Refused(refused) => refused,
            ChildError::Damaged(why) => ComponentRejection::by_host(format!("the upload has changed: {why}")),
        };
        let cached = if self.cache.has(digest) { self.load(digest).await.map(Some) } else { Ok(None) };
        let cached = match cached {
            Ok(cached) => cached,
            Err(LoadError::Refused(refused)) => return Err(self.refuse(digest, refused)),
            Err(LoadError::Unusable(error)) => {
                self.discard(digest, &error);
                None
            }
        };
        let ((admitted, _), InspectionReport { schemas, warnings }) = match cached {
            Some(loaded) => (loaded, self.compiler.inspect(bytes_file, digest).await.map_err(by_host)?),
            None => {
                let inspected = self.compile(bytes_file, digest).await.map_err(by_host)?;
                let loaded = self.load(digest).await.map_err(|error| self.refuse(digest, error.into()))?;
                (loaded, inspected)
            }
        };
        let warnings = admitted.warnings.into_iter().chain(warnings).collect();
        Ok(ComponentInfo { schemas, warnings, ..admitted })
    }

    /// Removes the code of a component that cannot run here.
    fn refuse(&self, digest: ComponentDigest, refused: ComponentRejection) -> ComponentRejection {
        self.cache.remove(digest);
        refused
    }

    /// Removes cached code that cannot be used.
    fn discard(&self, digest: ComponentDigest, error: &str) {
        tracing::warn!(%digest, error, "unusable cached code removed; the component will be compiled again");
        self.cache.remove(digest);
    }

    /// Returns the component's code: from memory, else from the code cache, else compiled from its
    /// bytes.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if there are no bytes, [`EngineError::Refused`] if this host
    /// cannot run the component.
    pub async fn module(&self, digest: ComponentDigest) -> Result<Arc<Module>, EngineError> {
        let cell = {
            let mut modules = self.modules.lock();
            Arc::clone(modules.entry(digest).or_default())
        };
        let module = cell.get_or_try_init(|| self.load_or_compile(digest)).await;
        if module.is_err() {
            self.forget(digest);
        }
        module.cloned()
    }

    async fn load_or_compile(&self, digest: ComponentDigest) -> Result<Arc<Module>, EngineError> {
        let refused = |refused| EngineError::Refused { digest, refused };
        if self.cache.has(digest) {
            match self.load(digest).await {
                Ok((_, module)) => return Ok(Arc::new(module)),
                Err(error) => self.discard(digest, &error.to_string()),
            }
        }
        let bytes_file = self.bytes_file(digest);
        match tokio::fs::try_exists(&bytes_file).await {
            Ok(true) => {}
            Ok(false) => return Err(EngineError::NotFound(digest)),
            Err(error) => return Err(EngineError::Io { what: "reading a component", error }),
        }
        self.compile(&bytes_file, digest).await.map_err(|error| error.into_error(digest))?;
        let (_, module) = self.load(digest).await.map_err(|error| refused(error.into()))?;
        Ok(Arc::new(module))
    }

    async fn compile(&self, bytes_file: &Path, digest: ComponentDigest) -> Result<InspectionReport, ChildError> {
        let inspected = self.compiler.compile(bytes_file, digest, &self.cache).await?;
        self.shared.counts.compiled.fetch_add(1, Relaxed);
        Ok(inspected)
    }

    /// Loads, validates and links cached code on a blocking thread.
    async fn load(&self, digest: ComponentDigest) -> Result<(ComponentInfo, Module), LoadError> {
        let (shared, cache) = (Arc::clone(&self.shared), Arc::clone(&self.cache));
        let loaded = tokio::task::spawn_blocking(move || {
            let component = cache
                .load(&shared.engine, digest)
                .map_err(|error| LoadError::Unusable(crate::component::module::words(&error)))?;
            shared.counts.loaded.fetch_add(1, Relaxed);
            Ok(validate::check(&shared.engine, &component, &shared.contract, digest)?)
        });
        loaded
            .await
            .unwrap_or_else(|error| Err(ComponentRejection::by_host(format!("loading the component: {error}")).into()))
    }

    /// Returns the path of a component's bytes.
    fn bytes_file(&self, digest: ComponentDigest) -> PathBuf {
        self.config.components_dir.join(digest.hex()).with_extension("wasm")
    }

    /// Finds the functions and source lines at `places` of a component, which are
    /// [`crate::StackFrame::offset`]s. Each offset has its inlined functions, innermost first.
    /// Without debug information it has none.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] and [`EngineError::Damaged`] without the bytes;
    /// [`EngineError::Refused`] if reading the debug information takes too much.
    pub async fn source_lines(
        &self,
        digest: ComponentDigest,
        places: &[u64],
    ) -> Result<Vec<Vec<SourceFrame>>, EngineError> {
        let bytes_file = self.bytes_file(digest);
        if !tokio::fs::try_exists(&bytes_file).await.unwrap_or(true) {
            return Err(EngineError::NotFound(digest));
        }
        self.compiler.lines(&bytes_file, digest, places).await.map_err(|error| error.into_error(digest))
    }

    /// Verifies all bytes of a component and of its cached code. Damaged code is removed, and
    /// compiled again when it is needed.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] and [`EngineError::Damaged`] if the bytes are not the uploaded
    /// ones.
    pub async fn verify(&self, digest: ComponentDigest) -> Result<(), EngineError> {
        let (cache, bytes_file) = (Arc::clone(&self.cache), self.bytes_file(digest));
        let verified = tokio::task::spawn_blocking(move || {
            if cache.has(digest) && !cache.is_sealed(digest).unwrap_or(false) {
                tracing::warn!(%digest, "damaged cached code removed; the component is compiled again when it is needed");
                cache.remove(digest);
            }
            crate::digest::of_file(&bytes_file)
        });
        let io = |error| EngineError::Io { what: "reading a component", error };
        match verified.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(found) if found == digest => Ok(()),
            Ok(found) => Err(EngineError::Damaged { digest, why: format!("the bytes have the digest {found}") }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(EngineError::NotFound(digest)),
            Err(error) => Err(io(error)),
        }
    }

    /// Executes one activation of `module` on the engine's own threads, once a slot is free. A
    /// failure is part of the result; it never panics. Work that guests must not delay, such as
    /// requests, runs on the caller's runtime. If the caller drops the future, the run still
    /// continues to its end: use its cancellation token to stop it.
    pub async fn run(&self, module: Arc<Module>, activation: Activation) -> ActivationResult {
        self.run_or_replay(module, activation, false).await
    }

    /// Replays a run's journal without executing further: no call is performed, and the channel
    /// receives nothing. Returns whether `module` can continue the run.
    pub async fn dry_run(&self, module: Arc<Module>, activation: Activation) -> DryRun {
        let ended = self.run_or_replay(module, activation, true).await;
        match ended.outcome {
            Outcome::Failed { failure, cause: Cause::Mismatch } => DryRun::Mismatch(failure),
            Outcome::Failed { failure, .. } => DryRun::Failed(failure),
            Outcome::Output(_) | Outcome::Suspended | Outcome::ContinueAsNew { .. } => DryRun::Continues,
        }
    }

    async fn run_or_replay(&self, module: Arc<Module>, activation: Activation, dry: bool) -> ActivationResult {
        let counts = &self.shared.counts;
        counts.waiting.fetch_add(1, Relaxed);
        let slots = module.slots().min(self.config.concurrency.max(1));
        let room = Arc::clone(&self.slots).acquire_many_owned(slots).await;
        counts.waiting.fetch_sub(1, Relaxed);
        let (Ok(room), Some(quick), Some(slow)) = (room, self.threads.quick(), self.threads.slow()) else {
            return lost("the engine is shutting down");
        };
        let meter = Arc::new(Meter::default());
        let work = self.work(module, activation, &meter, dry);
        let (done, ended) = oneshot::channel();
        let (ticker, slow, shared) = (Arc::clone(&self.ticker), slow.clone(), Arc::clone(&self.shared));
        counts.running.fetch_add(1, Relaxed);
        quick.spawn(async move {
            let running = PoolPlace { shared, _room: room };
            match MeteredFuture::new(work, Arc::clone(&meter), Arc::clone(&ticker), false).await {
                YieldReason::Done(ended) => {
                    drop(running);
                    let _ = done.send(ended);
                }
                YieldReason::Slow(work) => {
                    running.shared.counts.moved.fetch_add(1, Relaxed);
                    slow.spawn(async move {
                        if let YieldReason::Done(ended) = MeteredFuture::new(work, meter, ticker, true).await {
                            drop(running);
                            let _ = done.send(ended);
                        }
                    });
                }
            }
        });
        ended.await.unwrap_or_else(|_| lost("the host failed while it ran the guest; the host's log has the cause"))
    }

    /// Executes one activation on the caller's own thread, without waiting for a slot: for
    /// benchmarks.
    #[doc(hidden)]
    pub async fn run_on_current_thread(&self, module: Arc<Module>, activation: Activation) -> ActivationResult {
        let meter = Arc::new(Meter::default());
        let work = self.work(module, activation, &meter, false);
        match MeteredFuture::new(work, meter, Arc::clone(&self.ticker), true).await {
            YieldReason::Done(ended) => ended,
            YieldReason::Slow(_) => lost("a pinned call was moved to the slow threads"),
        }
    }

    fn work(
        &self,
        module: Arc<Module>,
        activation: Activation,
        meter: &Arc<Meter>,
        dry: bool,
    ) -> Pin<Box<impl Future<Output = ActivationResult> + Send + use<>>> {
        let work = execute(
            self.shared.engine.clone(),
            Arc::clone(&self.services),
            module,
            activation,
            Arc::clone(meter),
            Handle::current(),
            dry,
        );
        // The guest's threads inherit the caller's span, with or without an own one.
        Box::pin(work.instrument(tracing::debug_span!("activation").or_current()))
    }

    /// Removes a component's code from the cache and from memory. Runs that use it keep it.
    pub fn evict(&self, digest: ComponentDigest) {
        // In this order, a run that begins in between does not load the old code into memory again.
        self.cache.remove(digest);
        self.forget(digest);
    }

    fn forget(&self, digest: ComponentDigest) {
        self.modules.lock().remove(&digest);
    }

    /// Returns the current statistics.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let counts = &self.shared.counts;
        EngineStats {
            running: counts.running.load(Relaxed),
            waiting: counts.waiting.load(Relaxed),
            modules: self.modules.lock().len() as u64,
            compiled: counts.compiled.load(Relaxed),
            loaded: counts.loaded.load(Relaxed),
            moved: counts.moved.load(Relaxed),
            pooled: self.pooled,
        }
    }
}

/// A guest's slot in the pool; counted until it is dropped.
struct PoolPlace {
    shared: Arc<EngineState>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for PoolPlace {
    fn drop(&mut self) {
        self.shared.counts.running.fetch_sub(1, Relaxed);
    }
}

/// Why cached code was not loaded.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    /// The component cannot run here.
    #[error("{0}")]
    Refused(#[from] ComponentRejection),
    /// The code itself cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl From<LoadError> for ComponentRejection {
    fn from(unloaded: LoadError) -> Self {
        match unloaded {
            LoadError::Refused(refused) => refused,
            LoadError::Unusable(error) => Self::one(ComponentProblem::new(Code::ComponentInvalid, error)),
        }
    }
}

impl ChildError {
    fn into_error(self, digest: ComponentDigest) -> EngineError {
        match self {
            Self::Refused(refused) => EngineError::Refused { digest, refused },
            Self::Damaged(why) => EngineError::Damaged { digest, why },
        }
    }
}

async fn begin_of(path: &Path) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut begin = Vec::with_capacity(8);
    tokio::fs::File::open(path).await?.take(8).read_to_end(&mut begin).await?;
    Ok(begin)
}

fn lost(why: &str) -> ActivationResult {
    let outcome = Outcome::Failed { failure: Code::Internal.failure(why), cause: Cause::Host };
    ActivationResult { journal: None, ..ActivationResult::plain(outcome, Effects::default(), Fuel::default(), 0) }
}
