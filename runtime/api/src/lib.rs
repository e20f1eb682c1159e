//! The HTTP API of Tidemill, as in `docs/src/reference/api.md`.
//!
//! One folder per noun, one file per verb, and `json.rs` for the wire form. A handler reads its
//! request, calls the host, and writes the answer; a refusal is a [`Problem`] and an early return.
//! `middleware.rs` holds the checks before every handler, `routes.rs` maps paths to handlers, and
//! `request/` parses requests.
//!
//! Every request is answered with 2xx or 4xx, whatever it contains: each parser has bounds and a
//! property test. 5xx means that the host cannot serve the request now; `Retry-After` is the time
//! until a retry.

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

mod alerts;
mod budgets;
mod components;
mod deliveries;
mod deployments;
mod events;
mod health;
mod hooks;
mod incidents;
mod ledger;
mod modules;
mod operations;
mod parked;
mod runs;
mod schedules;
mod secrets;
mod silences;
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
    /// Builds the API of `host` with the settings of `config`.
    #[must_use]
    pub fn new(host: ControlPlane, config: ApiConfig) -> Self {
        modules::receive::remove_leftovers(&config.uploads());
        let (closing, closes) = watch::channel(false);
        let state = state::ApiState::new(host, config.clone(), closes);
        Self { config, router: routes::router(state.clone()), probes: routes::probes(state), closing }
    }

    /// Returns the whole API as a service, for tests and for callers with their own server. Feeds
    /// end when this value is dropped.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves on `listener` until `stop` completes. Then feeds end, no more connections are
    /// accepted, and requests in progress have `within` to finish. Stop this before the host, so
    /// that every acknowledged result is also sent.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>, within: Duration) {
        server::serve(listener, (self.router, self.probes), &self.config, &self.closing, stop, within).await;
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("config", &self.config).finish_non_exhaustive()
    }
}
