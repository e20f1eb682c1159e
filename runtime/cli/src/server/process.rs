//! One host in this process: builds store, engine, control plane and API, and stops them in the
//! right order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemill_api::{Api, ApiConfig};
use tidemill_control::{ControlPlane, HostConfig};
use tidemill_core::alerts::AlertsInForce;
use tidemill_core::clock::SystemClock;
use tidemill_core::policy::PolicyInForce;
use tidemill_engine::secrets::{EnvironmentAndFiles, StoredSecrets};
use tidemill_engine::{CompilerCommand, Engine, EngineConfig};
use tidemill_store::{EmbeddedStore, StoreError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::alerts::AlertFile;
use super::files::{self, ExposedPath, OpenFiles};
use super::policy::PolicyFile;
use super::settings::{Settings, Token};
use crate::client::{Client, url_of};
use crate::error::{CliError, chain};

/// Maximum time for requests in progress after the server stops accepting connections.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Maximum time reserved for handing runs back and closing the store.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// A running host.
#[derive(Debug)]
pub struct Process {
    /// The address on which the host listens.
    pub address: SocketAddr,
    host: ControlPlane,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    token: Option<Token>,
    policy: PolicyInForce,
    policy_path: Option<PathBuf>,
    alerts: AlertsInForce,
    alerts_path: Option<PathBuf>,
    /// The grace period for running runs at shutdown.
    runs: Duration,
}

impl Process {
    /// Opens the store, starts the engine and accepts requests.
    ///
    /// # Errors
    /// The reason why the host cannot start, with a fix.
    pub async fn start(settings: &Settings) -> Result<Self, CliError> {
        settings.require_token_if_exposed()?;
        if settings.zoneinfo.is_some() {
            tidemill_control::install_zones(settings.zoneinfo.as_deref()).map_err(CliError::failed)?;
        }
        // A key that cannot be read ends the start before anything is opened.
        let vault = settings.master_key.read().await?;
        // Bind the address first: opening the store writes to it.
        let listener = TcpListener::bind(settings.addr).await.map_err(|cause| {
            CliError::machine(format!("cannot listen on {}", settings.addr), &cause)
                .with_fix("stop the process that listens there, or choose another address with --addr or TIDEMILL_ADDR")
        })?;
        let address = listener.local_addr().map_err(|cause| CliError::machine("cannot listen", &cause))?;
        files::make_folder(&settings.data).map_err(|cause| {
            CliError::machine(format!("cannot make {}", settings.data.display()), &cause)
                .with_fix("choose a folder that this user may write to, with --data or TIDEMILL_DATA")
        })?;
        for ExposedPath { path, mode, fix } in files::exposed(&settings.data, token_file(settings)) {
            tracing::warn!(path = %path.display(), mode, fix, "other users of this machine can read the host's files");
        }
        let open_files = OpenFiles::raise();
        let connections = open_files.connections();
        tracing::info!(open_files = open_files.soft, connections, "limits of this process");
        let store = open(settings).await?.with_quotas(settings.quotas);
        let clock = Arc::new(SystemClock);
        let rest = EnvironmentAndFiles::new(Some(settings.data.join("secrets")));
        let secrets = Arc::new(StoredSecrets::new(vault, clock.clone(), rest));
        let policy = PolicyInForce::new(settings.policy.as_ref().map(|file| file.policy.clone()).unwrap_or_default());
        let alerts = AlertsInForce::new(settings.alerts.as_ref().map(|file| file.config.clone()).unwrap_or_default());
        let engine = EngineConfig { policy: policy.clone(), secrets: secrets.clone(), ..engine_config(settings)? };
        let components_dir = engine.components_dir.clone();
        let engine = Engine::new(engine, Arc::new(store.clone()), clock.clone()).map_err(|cause| CliError::Failed {
            code: Some(cause.code().as_str().to_owned()),
            message: chain(&cause),
            fix: Some("see the page of the code; `tidemill doctor` looks at this machine".to_owned()),
        })?;
        let config = HostConfig {
            concurrency: settings.concurrency,
            memory_max: settings.memory_max,
            scrub_every: settings.scrub_every,
            keep_waiting: settings.keep_waiting,
            findings_degrade_health: settings.findings_degrade_health,
            healing: settings.healing,
            waiting_max: waiting_max(settings.concurrency) as usize,
            retention: settings.retention,
            event_retention: settings.event_retention,
            events_max: Some(settings.events_max.into()),
            currencies: engine.currencies().clone(),
            providers: Arc::new(engine.provider_client()),
            paypal_certs: settings.paypal_certs.clone(),
            policy: policy.clone(),
            alerts: alerts.clone(),
            secrets,
            ..HostConfig::new(settings.node.clone(), components_dir)
        };
        let host =
            ControlPlane::start(config, Arc::new(store), engine, clock).await.map_err(|cause| CliError::Failed {
                code: Some(cause.code().as_str().to_owned()),
                message: format!("the host cannot start: {cause}"),
                fix: Some(cause.fix().to_owned()),
            })?;
        let token = settings.token.as_ref().map(|token| token.expose().to_owned());
        let api = ApiConfig {
            connections,
            connections_per_peer: (connections / 2).max(1),
            ..ApiConfig::new(&settings.data, token)
        };
        let api = Api::new(host.clone(), api);
        let (stop, stopped) = oneshot::channel();
        let within = settings.shutdown;
        let answers = LAST_ANSWERS.min(within / 5);
        let serving = tokio::spawn(async move {
            let stopped = async {
                // A sender that is gone means the same.
                let _ = stopped.await;
            };
            api.serve(listener, stopped, answers).await;
        });
        // All steps together take no longer than the shutdown period.
        let runs = within - answers - LAST_WRITES.min(within / 5);
        let policy_path = settings.policy.as_ref().map(|file| file.path.clone());
        let alerts_path = settings.alerts.as_ref().map(|file| file.path.clone());
        let token = settings.token.clone();
        Ok(Self { address, host, stop, serving, token, policy, policy_path, alerts, alerts_path, runs })
    }

    /// Reloads the configuration of alerts. One that is not valid changes nothing.
    pub fn reload_alerts(&self) {
        let Some(path) = &self.alerts_path else { return };
        match AlertFile::read(path) {
            Ok(file) => {
                self.alerts.replace(file.config);
                self.host.apply_alerts();
                tracing::info!(path = %path.display(), "alerts reloaded");
            }
            Err(error) => tracing::error!(%error, "alerts not reloaded; the ones before stay in force"),
        }
    }

    /// Reloads the policy. A policy that is not valid changes nothing.
    pub async fn reload_policy(&self) {
        let Some(path) = &self.policy_path else { return };
        match PolicyFile::read(path) {
            Ok(file) => {
                self.policy.replace(file.policy);
                tracing::info!(path = %path.display(), "policy reloaded");
                if let Err(error) = self.host.apply_policy().await {
                    tracing::error!(%error, "deployments could not be held against the policy");
                }
            }
            Err(error) => tracing::error!(%error, "policy not reloaded; the one before stays in force"),
        }
    }

    /// Returns the host's URL on this machine.
    pub fn url(&self) -> String {
        url_of(&self.address.to_string())
    }

    /// Builds a client of the host.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn client(&self) -> Result<Client, CliError> {
        Client::new(&self.url(), self.token.as_ref().map(Token::expose))
    }

    /// Stops the host: first requests, then runs, then the store with everything written.
    pub async fn stop(self) {
        // An error means that it has already stopped.
        let _ = self.stop.send(());
        let _ = self.serving.await;
        self.host.shutdown(self.runs).await;
    }
}

/// Returns the file of the token, if the token comes from one.
fn token_file(settings: &Settings) -> Option<&Path> {
    let shown = settings.shown.iter().find(|shown| shown.setting == "token-file");
    shown.map(|shown| Path::new(&shown.value)).filter(|file| settings.token.is_some() && !file.as_os_str().is_empty())
}

/// Opens the store. Replay blocks, so it uses a thread of its own.
async fn open(settings: &Settings) -> Result<EmbeddedStore, CliError> {
    let config = EmbeddedStore::config(&settings.data.join("store"));
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(config))
        .await
        .map_err(|cause| CliError::machine("the store cannot be opened", &cause))?;
    let (store, report) = opened.map_err(|cause| refused(settings, &cause))?;
    let tidemill_store::kv::OpenReport { created, clean, replayed, scrubbed, commit } = report;
    tracing::info!(created, clean, replayed, scrubbed, position = commit.position, "the store is open");
    Ok(store)
}

fn refused(settings: &Settings, cause: &StoreError) -> CliError {
    let code = cause.code();
    CliError::Failed {
        code: Some(code.as_str().to_owned()),
        message: format!("the store in {} cannot be opened: {cause}", settings.data.display()),
        fix: Some(code.fix().to_owned()),
    }
}

fn engine_config(settings: &Settings) -> Result<EngineConfig, CliError> {
    let compiler =
        CompilerCommand::this_program().map_err(|cause| CliError::machine("cannot find this program", &cause))?;
    Ok(EngineConfig {
        // A run that waits in memory takes no slot from running ones.
        concurrency: settings.concurrency.saturating_add(waiting_max(settings.concurrency)),
        memory_max: settings.memory_max,
        egress: settings.egress.clone(),
        units: settings.units.clone(),
        ..EngineConfig::new(&settings.data, compiler)
    })
}

/// Returns the maximum number of runs that wait in memory: a quarter of the running ones.
const fn waiting_max(concurrency: u32) -> u32 {
    concurrency / 4
}
