//! The fixture of the loops' unit tests: a host without running loops, over a store in a folder of
//! its own, with a manual clock and guests that succeed at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tidemill_core::clock::ManualClock;
use tidemill_core::manifest::Manifest;
use tidemill_core::money::{EntryCall, EntryKind};
use tidemill_core::run::{Export, Run};
use tidemill_core::{ComponentDigest, Fuel, RunId, Timestamp};
use tidemill_engine::secrets::{EnvironmentAndFiles, StoredSecrets};
use tidemill_engine::{
    Activation, ActivationResult, ComponentInfo, ComponentRejection, DryRun, Effects, EngineError, EngineStats,
    Outcome, SourceFrame,
};
use tidemill_store::records::{
    Component, Evidence, LedgerLeg, ModuleVersion, NewEntry, PageRequest, RunFilter, RunRequestResult,
};
use tidemill_store::{EmbeddedStore, Store};
use tidemill_vault::Vault;

use crate::config::HostConfig;
use crate::error::ControlError;
use crate::guests::GuestExecutor;
use crate::run::request::RunRequest;
use crate::state::{ControlPlane, HostState};

/// 2026-01-05T00:00:00Z, a Monday.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_571_200_000);

/// An entry of 5 euro cents of the host in stream `shop`, at [`START`].
pub(crate) fn ledger_entry(kind: EntryKind, external_id: &str) -> NewEntry {
    NewEntry {
        id: String::new(),
        stream: "shop".parse().unwrap(),
        run: None,
        external_id: external_id.to_owned(),
        call: EntryCall::Post,
        kind: kind.as_str().to_owned(),
        minor_units: 5,
        currency: "EUR".to_owned(),
        exponent: Some(2),
        net_revenue: 0,
        occurred_at: START,
        customer: None,
        description: String::new(),
        metadata: "{}".to_owned(),
        of: None,
        legs: kind.legs(5).unwrap().map(LedgerLeg::from).to_vec(),
        pending: vec![],
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: <_>::default(),
    }
}

/// A host whose loops a test creates and ticks.
pub(crate) struct LoopFixture {
    folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) host: Arc<HostState>,
}

/// Guests that succeed at once.
struct InstantGuests;

#[async_trait]
impl GuestExecutor for InstantGuests {
    async fn admit(&self, _: &Path, _: ComponentDigest) -> Result<ComponentInfo, ComponentRejection> {
        Ok(ComponentInfo { exports: vec![Export::Workflow], imports: Vec::new(), warnings: Vec::new(), schemas: None })
    }

    async fn run(&self, _: Activation) -> ActivationResult {
        let outcome = Outcome::Output(Bytes::from_static(b"null"));
        ActivationResult::plain(outcome, Effects::default(), Fuel::new(1), 65_536)
    }

    async fn dry_run(&self, _: Activation) -> DryRun {
        DryRun::Continues
    }

    async fn verify(&self, _: ComponentDigest) -> Result<(), EngineError> {
        Ok(())
    }

    async fn source_lines(&self, _: ComponentDigest, _: &[u64]) -> Result<Vec<Vec<SourceFrame>>, EngineError> {
        Ok(Vec::new())
    }

    fn evict(&self, _: ComponentDigest) {}

    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}

impl LoopFixture {
    /// Returns a host with the deployment `a`, whose manifest has these further fields.
    pub(crate) async fn with(manifest: serde_json::Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap().0);
        let digest = ComponentDigest::of(b"a component");
        let component = Component {
            digest,
            size: 11,
            exports: vec![Export::Workflow],
            imports: Vec::new(),
            warnings: Vec::new(),
            uploaded_at: START,
            schemas: None,
        };
        let (module, version) = ("module".parse().unwrap(), "1.0.0".to_owned());
        store.put_version(ModuleVersion { module, version, digest, created_at: START }, component).await.unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let host = open(&folder, &store, &clock).await;
        let mut manifest = manifest;
        manifest["name"] = "a".into();
        manifest["module"] = "module@1.0.0".into();
        let manifest = Manifest::parse_json(manifest.to_string().as_bytes()).unwrap();
        ControlPlane(Arc::clone(&host)).deploy(manifest, None, false).await.unwrap();
        Self { folder, clock, store, host }
    }

    /// Returns the front of the host.
    pub(crate) fn control(&self) -> ControlPlane {
        ControlPlane(Arc::clone(&self.host))
    }

    /// Begins another epoch over the same store, as after a crash.
    pub(crate) async fn next_epoch(&mut self) {
        self.host = open(&self.folder, &self.store, &self.clock).await;
    }

    /// Begins another epoch over the same store, with these master keys.
    pub(crate) async fn next_epoch_with(&mut self, vault: Vault) -> Result<(), ControlError> {
        self.host = try_open(&self.folder, &self.store, &self.clock, vault).await?;
        Ok(())
    }

    /// Ends the recovery, as the first tick of that loop does.
    pub(crate) fn end_recovery(&self) {
        self.host.admission.end_recovery(&self.host.shutdown.closing);
    }

    /// Queues a run of `a`.
    pub(crate) async fn queue(&self) -> Run {
        self.queue_delayed(0).await
    }

    /// Queues a run of `a` that may start after a delay.
    pub(crate) async fn queue_delayed(&self, millis: u64) -> Run {
        let delay = Some(Duration::from_millis(millis));
        let request = RunRequest { delay, ..RunRequest::new("a".parse().unwrap(), "{}") };
        match self.control().request(request).await.unwrap() {
            RunRequestResult::Created(run) => run,
            other => panic!("{other:?}"),
        }
    }

    /// Returns all runs, newest first.
    pub(crate) async fn runs(&self) -> Vec<Run> {
        self.store.runs(RunFilter::default(), PageRequest::first(100)).await.unwrap().items
    }

    /// Waits until a run is settled.
    pub(crate) async fn settled(&self, id: RunId) -> Run {
        let mut commits = self.store.committed();
        loop {
            let run = self.store.run(id).await.unwrap().unwrap();
            if run.state.is_settled() {
                return run;
            }
            commits.changed().await.unwrap();
        }
    }
}

async fn open(folder: &TempDir, store: &Arc<dyn Store>, clock: &Arc<ManualClock>) -> Arc<HostState> {
    try_open(folder, store, clock, Vault::without_key()).await.unwrap()
}

async fn try_open(
    folder: &TempDir,
    store: &Arc<dyn Store>,
    clock: &Arc<ManualClock>,
    vault: Vault,
) -> Result<Arc<HostState>, ControlError> {
    let mut config = HostConfig::new("node".parse().unwrap(), folder.path().join("components"));
    config.retention = Some(Duration::from_secs(3_600));
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    config.secrets = Arc::new(StoredSecrets::new(vault, clock.clone(), EnvironmentAndFiles::new(None)));
    HostState::open(config, store, Arc::new(InstantGuests), clock).await
}
