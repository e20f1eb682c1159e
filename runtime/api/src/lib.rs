//! The HTTP API of Tidemill, as in `docs/src/reference/api.md`.
//!
//! One folder a noun, one file a verb, `json.rs` for what is sent. A handler reads its request, asks the host, and writes the
//! answer; a refusal is a [`Problem`] and an early return. What every request passes first is in `gate.rs`, which path leads
//! where in `routes.rs`, how requests are read in `request/`.
//!
//! Whatever a client sends is answered with 2xx or 4xx: each parser has bounds and a property test. 5xx means that the
//! host could not, and says when to come again.

#![forbid(unsafe_code)]

mod attempts;
mod auth;
pub mod config;
mod error_codes;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod list;
mod middleware;
pub mod openapi;
pub mod problem;
mod request;
mod routes;
mod server;
mod state;
mod stream;
mod wire;

mod components;
mod deployments;
mod events;
mod health;
mod ledger;
mod modules;
mod operations;
mod parked;
mod runs;
mod schedules;
mod streams;
mod subscriptions;
mod topics;
mod web;

use std::future::Future;
use std::time::Duration;

use axum::Router;
use tidemill_control::ControlPlane;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use config::ApiConfig;
pub use problem::Problem;
pub use routes::ROUTES;

/// The API of one host.
pub struct Api {
    config: ApiConfig,
    router: Router,
    probes: Router,
    closing: watch::Sender<bool>,
}

impl Api {
    /// The API of `host`, set up as `config` says.
    #[must_use]
    pub fn new(host: ControlPlane, config: ApiConfig) -> Self {
        modules::receive::remove_leftovers(&config.uploads());
        let (closing, closes) = watch::channel(false);
        let state = state::ApiState::new(host, config.clone(), closes);
        Self { config, router: routes::router(state.clone()), probes: routes::probes(state), closing }
    }

    /// Everything that it answers, as a service; for tests, and for who brings a server of his own. Feeds end when this
    /// is dropped.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves on `listener` until `stop` is done. Then feeds end, no more connections are taken, and requests in hand
    /// have `within` to be answered. Stop this before the host, so that what was acknowledged was also sent.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>, within: Duration) {
        server::serve(listener, (self.router, self.probes), &self.config, &self.closing, stop, within).await;
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("config", &self.config).finish_non_exhaustive()
    }
}
