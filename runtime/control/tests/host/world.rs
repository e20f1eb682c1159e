//! The fixture of a test: a store in a folder of its own, a manual clock, scripted guests, and a
//! host over them.

use std::sync::Arc;

use tempfile::TempDir;
use tidemill_control::{ControlError, ControlPlane, DeployResult, HostConfig, RunRequest};
use tidemill_core::clock::ManualClock;
use tidemill_core::manifest::Manifest;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::{Export, Run};
use tidemill_core::{ComponentDigest, DeploymentName, RunId, Timestamp};
use tidemill_store::kv::Disk;
use tidemill_store::records::{Component, ModuleVersion, PageRequest, RunFilter, RunRequestResult};
use tidemill_store::{EmbeddedStore, Store};

use crate::disk::FaultyDisk;
use crate::guests::Scripted;

/// 2026-01-05T00:00:00Z, a Monday.
pub const START: Timestamp = Timestamp::from_millis(1_767_571_200_000);

pub struct TestHost {
    pub folder: TempDir,
    pub disk: Arc<FaultyDisk>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub guests: Arc<Scripted>,
    pub host: ControlPlane,
    change: fn(&mut HostConfig),
}

/// Makes every waiting run leave memory at once.
pub fn evict_immediately(config: &mut HostConfig) {
    config.keep_waiting = std::time::Duration::ZERO;
}

/// Both settings: waiting runs leave memory, or stay in it.
pub const BOTH_WAYS: [fn(&mut HostConfig); 2] = [evict_immediately, |_| {}];

pub fn name(text: &str) -> DeploymentName {
    text.parse().unwrap()
}

pub fn component() -> ComponentDigest {
    ComponentDigest::of(b"a component")
}

async fn put_version(
    store: &dyn Store,
    version: &str,
    digest: ComponentDigest,
    exports: &[Export],
    schemas: Option<&str>,
) {
    let component = Component {
        digest,
        size: 11,
        exports: exports.to_vec(),
        imports: Vec::new(),
        warnings: Vec::new(),
        uploaded_at: START,
        schemas: schemas.map(Into::into),
    };
    let version =
        ModuleVersion { module: "module".parse().unwrap(), version: version.to_owned(), digest, created_at: START };
    store.put_version(version, component).await.unwrap();
}

fn open(folder: &TempDir, disk: &Arc<FaultyDisk>) -> Arc<dyn Store> {
    let mut config = EmbeddedStore::config(folder.path());
    config.disk = Arc::clone(disk) as Arc<dyn Disk>;
    Arc::new(EmbeddedStore::open(config).unwrap().0)
}

fn config(folder: &TempDir, change: fn(&mut HostConfig)) -> HostConfig {
    let mut config = HostConfig::new("node".parse().unwrap(), folder.path().join("components"));
    change(&mut config);
    config
}

impl TestHost {
    /// Starts a host whose loops run only when a test ticks them.
    pub async fn paused() -> Self {
        Self::new(&[Export::Workflow], false).await
    }

    /// Starts such a host with another configuration.
    pub async fn paused_with(change: fn(&mut HostConfig)) -> Self {
        Self::with(&[Export::Workflow], false, change).await
    }

    /// Starts a host with running loops.
    pub async fn running() -> Self {
        Self::new(&[Export::Workflow], true).await
    }

    pub async fn new(exports: &[Export], running: bool) -> Self {
        Self::with(exports, running, |_| {}).await
    }

    pub async fn with(exports: &[Export], running: bool, change: fn(&mut HostConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::default();
        let store = open(&folder, &disk);
        let clock = Arc::new(ManualClock::new(START));
        let guests = Scripted::new();
        put_version(&*store, "1.0.0", component(), exports, None).await;
        let host = host(config(&folder, change), &store, &clock, &guests, running).await;
        let world = Self { folder, disk, store, clock, guests, host, change };
        if !running {
            world.tick().await;
        }
        world
    }

    /// Simulates a crash: another epoch starts over the same store, while the old host may still
    /// act. Returns the old host.
    pub async fn next_epoch(&mut self) -> ControlPlane {
        let config = config(&self.folder, self.change);
        let next = host(config, &self.store, &self.clock, &self.guests, false).await;
        std::mem::replace(&mut self.host, next)
    }

    /// Opens the store again after the host has closed it.
    pub async fn open_again(&mut self) {
        self.store = open(&self.folder, &self.disk);
    }

    /// Opens the store again with other quotas.
    pub fn open_with(&mut self, quotas: Quotas) {
        let mut config = EmbeddedStore::config(self.folder.path());
        config.disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        self.store = Arc::new(EmbeddedStore::open(config).unwrap().0.with_quotas(quotas));
    }

    pub async fn deploy(&self, manifest: serde_json::Value) {
        self.try_deploy("1.0.0", manifest).await.unwrap();
    }

    /// Deploys a manifest with a version of the module.
    pub async fn try_deploy(&self, version: &str, manifest: serde_json::Value) -> Result<DeployResult, ControlError> {
        let mut manifest = manifest;
        manifest["module"] = format!("module@{version}").into();
        let manifest = Manifest::parse_json(manifest.to_string().as_bytes()).unwrap();
        self.host.deploy(manifest, None, false).await
    }

    /// Puts version 2.0.0 of the module, whose workflow takes a list of numbers and the number `go`
    /// as a signal.
    pub async fn put_typed(&self) {
        let schemas =
            r#"{"workflow":{"input":{"type":"array","items":{"type":"integer"}},"signals":{"go":{"type":"integer"}}}}"#;
        let digest = ComponentDigest::of(b"a typed component");
        put_version(&*self.store, "2.0.0", digest, &[Export::Workflow], Some(schemas)).await;
    }

    pub async fn tick(&self) {
        self.host.tick_all().await.unwrap();
    }

    /// Requests a run.
    pub async fn request(&self, deployment: &str) -> Run {
        match self.host.request(RunRequest::new(name(deployment), "{}")).await.unwrap() {
            RunRequestResult::Created(run) => run,
            RunRequestResult::Existing(run) | RunRequestResult::Joined(run) => panic!("{run:?} was there already"),
        }
    }

    pub async fn run(&self, id: RunId) -> Run {
        self.store.run(id).await.unwrap().unwrap()
    }

    /// Waits until the run satisfies `wanted`.
    pub async fn until(&self, id: RunId, wanted: impl Fn(&Run) -> bool) -> Run {
        let mut commits = self.store.committed();
        loop {
            let run = self.run(id).await;
            if wanted(&run) {
                return run;
            }
            commits.changed().await.unwrap();
        }
    }

    pub async fn until_settled(&self, id: RunId) -> Run {
        self.until(id, |run| run.state.is_settled()).await
    }

    /// Returns all runs, newest first.
    pub async fn runs(&self, filter: RunFilter) -> Vec<Run> {
        let (mut runs, mut page) = (Vec::new(), PageRequest::first(500));
        loop {
            let found = self.store.runs(filter.clone(), page).await.unwrap();
            runs.extend(found.items);
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: 500 },
                None => return runs,
            }
        }
    }

    /// Waits until there is a run in that state, and returns it.
    pub async fn first_in(&self, state: &str) -> Run {
        let mut commits = self.store.committed();
        loop {
            let filter = RunFilter { states: vec![state.to_owned()], ..RunFilter::default() };
            if let Some(run) = self.runs(filter).await.into_iter().next() {
                return run;
            }
            commits.changed().await.unwrap();
        }
    }
}

async fn host(
    config: HostConfig,
    store: &Arc<dyn Store>,
    clock: &Arc<ManualClock>,
    guests: &Arc<Scripted>,
    running: bool,
) -> ControlPlane {
    let (store, clock, guests) = (Arc::clone(store), Arc::clone(clock), Arc::clone(guests));
    if running {
        ControlPlane::start(config, store, guests, clock).await.unwrap()
    } else {
        ControlPlane::start_paused(config, store, guests, clock).await.unwrap()
    }
}
